import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import type { TensorSpec } from './gpt2.ts';

/** The format allows any length of header; writers pad it so that the data is aligned. */
const HEADER_ALIGNMENT = 8;
/** Elements made and written at once: 4 MiB, of which two are in memory. */
const CHUNK_ELEMENTS = 1024 * 1024;
const F32_BYTES = 4;

/** What a model is called while it is written. */
export const TEMPORARY_NAME = /^(?<path>.+)\.(?<pid>\d+)\.tmp$/;

export interface ModelPlan {
  /** The length and the JSON: all that comes before the data. */
  header: Buffer;
  /** In the order of their data. */
  tensors: TensorSpec[];
  /** Bytes of the file. */
  byteLength: number;
}

export interface WriteOptions {
  signal?: AbortSignal;
  /** Called with the bytes written so far. */
  onProgress?: (bytes: number) => void;
}

/** Lays F32 tensors out as the reference does: by the UTF-8 bytes of their names. */
export function planModel(specs: Iterable<TensorSpec>): ModelPlan {
  const tensors = [...specs].sort((a, b) =>
    Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
  const fields = ['"__metadata__":{"format":"pt"}'];
  let end = 0;
  for (const { name, shape } of tensors) {
    const begin = end;
    end += elementsOf(shape) * F32_BYTES;
    const entry = { dtype: 'F32', shape, data_offsets: [begin, end] };
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  }
  const json = Buffer.from(`{${fields.join()}}`);
  const padding = -json.length & (HEADER_ALIGNMENT - 1);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length + padding));
  const header = Buffer.concat([length, json, Buffer.alloc(padding, ' ')]);
  return { header, tensors, byteLength: header.length + end };
}

/**
 * Writes a model under another name and renames it, so that `path` is either whole or not there:
 * also after Ctrl-C (through `signal`), or when the disk is full.
 *
 * A killed process cannot tidy up: {@link TEMPORARY_NAME} tells what it left.
 */
export async function writeModel(
  path: string,
  plan: ModelPlan,
  options: WriteOptions = {},
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    const file = await open(temporary, 'wx');
    try {
      await writeContents(file, plan, options);
      // Also keeps the kernel from writing the file back while the demo measures.
      await file.datasync();
    } finally {
      await file.close();
    }
    options.signal?.throwIfAborted();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function writeContents(
  file: FileHandle,
  { header, tensors }: ModelPlan,
  { signal, onProgress }: WriteOptions,
): Promise<void> {
  await file.writeFile(header);
  let written = header.length;
  // One chunk is filled while the other is written.
  let [chunk, other] = [new Float32Array(CHUNK_ELEMENTS), new Float32Array(CHUNK_ELEMENTS)];
  let writing = Promise.resolve();
  for (const { shape, values } of tensors) {
    const fill = values();
    for (let left = elementsOf(shape); left > 0; left -= chunk.length) {
      const part = chunk.subarray(0, Math.min(left, chunk.length));
      fill(part);
      await writing;
      onProgress?.(written);
      signal?.throwIfAborted();
      // Unlike `write`, `writeFile` goes on after a short write.
      writing = file.writeFile(new Uint8Array(part.buffer, 0, part.byteLength));
      written += part.byteLength;
      [chunk, other] = [other, chunk];
    }
  }
  await writing;
  onProgress?.(written);
}

function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}
