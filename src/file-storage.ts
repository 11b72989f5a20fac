import { BlockStorage } from './block-storage.ts';
import { type DataPlace, FileReader, MappingReader, type ReadFile } from './byte-reader.ts';
import { MappedStorage } from './mapped-storage.ts';
import { type FileHandle, native } from './native.ts';
import type { Storage } from './storage.ts';

/**
 * For tests: `1` has this package do as if the runtime let JavaScript see no memory but its own, as
 * Electron does.
 */
const NO_EXTERNAL_BUFFERS = 'SAFETENSORS_MMAP_NO_EXTERNAL_BUFFERS';

let allowsExternalBuffers: boolean | undefined;

/** Tensors of files that are mapped: seen where they are, or copied where the runtime has it no other way. */
export function storageOfMapped(
  handle: FileHandle,
  place: DataPlace & { readonly byteLength: number },
): Storage {
  allowsExternalBuffers ??=
    process.env[NO_EXTERNAL_BUFFERS] !== '1' && native().allowsExternalBuffers();
  if (allowsExternalBuffers) return new MappedStorage(handle, place.table, place);
  return new BlockStorage(new MappingReader(handle, place), 'mmap', place);
}

/** Tensors of files that are read; closing closes `handle` too. */
export function storageOfRead(
  handle: FileHandle,
  files: readonly ReadFile[],
  place: DataPlace,
): Storage {
  return new BlockStorage(new FileReader(handle, files, place), 'read', place);
}
