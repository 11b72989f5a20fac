import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createWriter, fromFloat32, type WriteProgress } from 'safetensors-mmap';
import type { EncoderConfig } from './config.ts';
import { type Weight, weightsOf } from './layout.ts';

export interface WriteModelOptions {
  readonly dtype?: 'F32' | 'BF16';
  /** Another seed, other values. */
  readonly seed?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: WriteProgress) => void;
}

/** Values made and written at once. */
const PIECE = 2 ** 20;

/**
 * Writes an encoder into a folder, as the Hub has them: `config.json` and `model.safetensors`. Its values
 * come from a seed, the same on every machine: nothing has to be downloaded, and what the encoder answers
 * means nothing.
 *
 * @returns The path of the weights.
 */
export async function writeModel(
  folder: string,
  config: EncoderConfig,
  options: WriteModelOptions = {},
): Promise<string> {
  const { dtype = 'F32', seed = 1, signal, onProgress } = options;
  await mkdir(folder, { recursive: true });
  const path = join(folder, 'model.safetensors');
  const weights = Array.from(weightsOf(config));
  const specs = new Map(weights.map(({ name, shape }) => [name, { dtype, shape }]));
  await using writer = await createWriter(path, specs, {
    metadata: { format: 'pt' },
    signal,
    onProgress,
  });
  for (const weight of weights) {
    await writer.write(weight.name, pieces(weight, dtype, seed));
  }
  const json = { model_type: 'bert', hidden_act: 'gelu', ...config };
  await writeFile(join(folder, 'config.json'), `${JSON.stringify(json, null, 2)}\n`);
  await writer.finish();
  return path;
}

/** One after another in the same memory: the writer asks for the next when it has written the last. */
function* pieces({ name, shape }: Weight, dtype: 'F32' | 'BF16', seed: number) {
  const count = shape.reduce((product, length) => product * length, 1);
  const { centre, spread } = distribution(name, shape);
  const start = hashOf(name, seed);
  const memory = new Float32Array(Math.min(count, PIECE));
  for (let begin = 0; begin < count; begin += PIECE) {
    const piece = memory.subarray(0, Math.min(PIECE, count - begin));
    for (let i = 0; i < piece.length; i++) {
      piece[i] = centre + spread * uniform(start, begin + i);
    }
    yield dtype === 'F32' ? piece : fromFloat32(dtype, piece);
  }
}

/**
 * So that the numbers neither vanish nor grow from layer to layer, and attention has something to choose
 * from: weights of a variance of 1 / inputs.
 */
function distribution(name: string, shape: readonly number[]): { centre: number; spread: number } {
  if (name.endsWith('LayerNorm.weight')) return { centre: 1, spread: 0.1 };
  if (shape.length === 1) return { centre: 0, spread: 0.1 };
  if (name.startsWith('embeddings.')) return { centre: 0, spread: 1 };
  return { centre: 0, spread: Math.sqrt(3 / shape[1]) };
}

/** The n-th of a sequence of numbers from -1 to 1: the finaliser of MurmurHash3 over a counter. */
function uniform(start: number, n: number): number {
  let bits = (start + Math.imul(n, 0x9e3779b9)) | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 31 - 1;
}

/** FNV-1a. */
function hashOf(text: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}
