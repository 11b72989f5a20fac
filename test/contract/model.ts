/** The model that the contract is checked with: a file, and the same tensors in two shards. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Dtype } from 'safetensors-mmap';

export interface KnownTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Bits of an element and the constructor of `data`, written down here once more. */
const DTYPES = {
  BOOL: [8, Uint8Array],
  F4: [4, Uint8Array],
  F6_E2M3: [6, Uint8Array],
  F6_E3M2: [6, Uint8Array],
  U8: [8, Uint8Array],
  I8: [8, Int8Array],
  F8_E5M2: [8, Uint8Array],
  F8_E4M3: [8, Uint8Array],
  F8_E8M0: [8, Uint8Array],
  F8_E4M3FNUZ: [8, Uint8Array],
  F8_E5M2FNUZ: [8, Uint8Array],
  I16: [16, Int16Array],
  U16: [16, Uint16Array],
  F16: [16, Uint16Array],
  BF16: [16, Uint16Array],
  I32: [32, Int32Array],
  U32: [32, Uint32Array],
  F32: [32, Float32Array],
  C64: [64, Float32Array],
  F64: [64, Float64Array],
  I64: [64, BigInt64Array],
  U64: [64, BigUint64Array],
} as const;

export const ALL_DTYPES = Object.keys(DTYPES) as Dtype[];

/** The elements that `data` must show, from a copy of the bytes. */
export function elementsOf({ dtype, bytes }: Pick<KnownTensor, 'dtype' | 'bytes'>) {
  const [, TypedArray] = DTYPES[dtype];
  return new TypedArray(bytes.slice().buffer);
}

/** Bytes that differ from their neighbours, and from those of another `seed`. */
function pattern(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 101 + (i >>> 8) * 7) & 0xff);
}

function known(name: string, dtype: Dtype, shape: readonly number[], seed: number): KnownTensor {
  const elements = shape.reduce((product, n) => product * n, 1);
  return { name, dtype, shape, bytes: pattern((elements * DTYPES[dtype][0]) / 8, seed) };
}

/** F32 of `rows` × `columns` that are 0, 1, 2, … */
function counting(name: string, rows: number, columns: number): KnownTensor {
  const values = Float32Array.from({ length: rows * columns }, (_, i) => i);
  return { name, dtype: 'F32', shape: [rows, columns], bytes: new Uint8Array(values.buffer) };
}

/** Larger than what is read at once (8 MiB), so that pieces meet within it. */
export const LARGE = counting('large', 2304, 1024);
export const COUNTING = counting('counting', 12, 10);

/** A byte between others moves all that follow out of alignment. */
export const TENSORS: readonly KnownTensor[] = [
  COUNTING,
  ...ALL_DTYPES.map((dtype, i) => known(`aligned.${dtype}`, dtype, [4, 8], i)),
  known('scalar', 'F64', [], 50),
  known('empty', 'F32', [0, 3], 51),
  known('__proto__', 'U8', [1], 52),
  ...ALL_DTYPES.map((dtype, i) => known(`misaligned.${dtype}`, dtype, [2, 4], 100 + i)),
  known('blocks', 'U8', [2, 4, 16], 60),
  known('scales', 'U8', [2, 4], 61),
  known('weight', 'F8_E4M3', [4, 6], 62),
  { ...known('weight_scale', 'U8', [2, 2], 63), dtype: 'F8_E8M0' },
  LARGE,
];

export const METADATA = { format: 'pt', 'key "with" quotes': 'värde' };

/** A file of tensors in their order, each behind the one before without a gap. */
export function fileOf(tensors: readonly KnownTensor[]): Uint8Array {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, bytes }) => {
    const begin = end;
    end += bytes.length;
    const entry = JSON.stringify({ dtype, shape, data_offsets: [begin, end] });
    return `${JSON.stringify(name)}:${entry}`;
  });
  const text = `{"__metadata__":${JSON.stringify(METADATA)},${entries.join(',')}}`;
  const header = Buffer.from(text.padEnd(text.length + 8 - (Buffer.byteLength(text) % 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, ...tensors.map(({ bytes }) => bytes)]);
}

export interface Places {
  readonly file: string;
  readonly index: string;
  readonly shards: readonly string[];
}

/** Writes the model into a folder, as a file and as two shards. */
export function writeModel(folder: string): Places {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'whole.safetensors');
  writeFileSync(file, fileOf(TENSORS));
  const half = TENSORS.length / 2;
  const parts = [TENSORS.slice(0, half), TENSORS.slice(half)];
  const names = parts.map((_, i) => `model-0000${i + 1}-of-00002.safetensors`);
  const shards = names.map((name) => join(folder, name));
  // Without a prototype, so that `__proto__` is a key like any other.
  const weightMap: Record<string, string> = Object.create(null);
  for (const [i, part] of parts.entries()) {
    writeFileSync(shards[i], fileOf(part));
    for (const { name } of part) weightMap[name] = names[i];
  }
  const index = join(folder, 'model.safetensors.index.json');
  writeFileSync(index, JSON.stringify({ metadata: {}, weight_map: weightMap }));
  return { file, index, shards };
}
