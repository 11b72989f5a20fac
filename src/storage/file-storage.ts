import { type FileHandle, native } from '../native.ts';
import type { DataPlace } from '../paging/paging-error.ts';
import { BlockStorage } from './block-storage.ts';
import { FileReader, MappingReader, type ReadFile } from './byte-reader.ts';
import { MappedFiles, type MappedPlace } from './mapped-files.ts';
import { MappedStorage } from './mapped-storage.ts';
import type { Storage } from './storage.ts';

/**
 * For tests: `1` has this package do as if the runtime let JavaScript see no memory but its own, as
 * Electron does.
 */
const NO_EXTERNAL_BUFFERS = 'SAFETENSORS_MMAP_NO_EXTERNAL_BUFFERS';

let allowsExternalBuffers: boolean | undefined;

/** Tensors of files that are mapped: seen where they are, or copied where the runtime has it no other way. */
export function storageOfMapped(handle: FileHandle, place: MappedPlace): Storage {
  allowsExternalBuffers ??=
    process.env[NO_EXTERNAL_BUFFERS] !== '1' && native().allowsExternalBuffers();
  const files = new MappedFiles(handle, place);
  if (allowsExternalBuffers) return new MappedStorage(files);
  return new BlockStorage(new MappingReader(files), 'mmap', place);
}

/** Tensors of files that are read; closing closes `handle` too. */
export function storageOfRead(
  handle: FileHandle,
  files: readonly ReadFile[],
  place: DataPlace,
): Storage {
  return new BlockStorage(new FileReader(handle, files, place), 'read', place);
}
