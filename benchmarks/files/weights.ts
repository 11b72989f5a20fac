import { closeSync, existsSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { assertSpace } from '../harness/disk.ts';
import type { TensorSpec } from '../models/deepseek-v3.ts';
import { headerOf } from './model-file.ts';

const CHUNK_BYTES = 2 ** 22;
/** Knuth's multiplicative hash: bytes that no disk compresses well. */
const FACTOR = 2654435761;

/** F32 weights, all of one size, with real data on the disk. */
export interface Weights {
  tensors: number;
  /** Of each; a multiple of 4. */
  tensorBytes: number;
}

export function totalBytes({ tensors, tensorBytes }: Weights): number {
  return tensors * tensorBytes;
}

/** "2.0 GB": the data of the file. */
export function sizeOf(weights: Weights): string {
  const bytes = totalBytes(weights);
  return bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/**
 * Writes tensors `t000000` and on, each beginning with its number, and returns the path of the file. One
 * that is there already is used again.
 * @throws {NotMeasured} where the disk has no room for it
 */
export function writeWeights(folder: string, weights: Weights): string {
  const { tensors, tensorBytes } = weights;
  const path = join(folder, `weights-${tensors}-${tensorBytes}.safetensors`);
  if (existsSync(path)) return path;
  assertSpace(folder, totalBytes(weights));
  const specs = Array.from(
    { length: tensors },
    (_, i): TensorSpec => ({
      name: `t${String(i).padStart(6, '0')}`,
      dtype: 'F32',
      shape: [tensorBytes / 4],
    }),
  );
  const descriptor = openSync(path, 'wx');
  try {
    writeSync(descriptor, headerOf(specs).bytes);
    for (const chunk of chunksOf(weights)) writeSync(descriptor, chunk);
    fsyncSync(descriptor); // only pages that are on the disk can be evicted
  } finally {
    closeSync(descriptor);
  }
  return path;
}

function* chunksOf(weights: Weights): Generator<Uint8Array> {
  const { tensorBytes } = weights;
  const total = totalBytes(weights);
  const pattern = Uint32Array.from({ length: CHUNK_BYTES / 4 }, (_, i) => Math.imul(i, FACTOR));
  const words = new Uint32Array(pattern.length);
  for (let done = 0; done < total; done += CHUNK_BYTES) {
    words.set(pattern);
    const end = Math.min(done + CHUNK_BYTES, total);
    const first = Math.ceil(done / tensorBytes);
    for (let i = first; i * tensorBytes < end; i++) words[(i * tensorBytes - done) / 4] = i;
    yield new Uint8Array(words.buffer, 0, end - done);
  }
}

export function removeWeights(path: string): void {
  rmSync(path, { force: true });
}
