/**
 * Decodes elements of a dtype to F32, again and again, and prints what that cost, as JSON.
 *
 *   ours | async | loop | bound | memcpy | pages  DTYPE ELEMENTS WARM|FRESH REPETITIONS
 *
 * ours: `toFloat32`; async: `toFloat32Async`; loop: plain JavaScript; bound: the same bytes read and
 * written by native code that computes nothing; memcpy: as many bytes of results copied; pages: as much new
 * memory, in huge pages, of which a byte in each is written.
 */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import {
  type Dtype,
  decodeBlockScaled,
  decodeBlockScaledAsync,
  decodeMxfp4,
  decodeMxfp4Async,
  deserialize,
  type Tensor,
  type TensorLike,
} from 'safetensors-mmap';
import { MEMORY_BOUND, TAKE_MEMORY } from '../harness/drivers.ts';
import type { DecodeResult } from './results.ts';

/** What is decoded: a dtype, or a format in blocks. */
export type Decoded = Dtype | 'FP8 in blocks' | 'MXFP4';

const BITS: Partial<Record<Decoded, number>> = {
  BF16: 16,
  F16: 16,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
  'FP8 in blocks': 8,
  MXFP4: 4,
};

/** Columns of a weight in blocks. */
const COLUMNS = 4096;

/** Bytes without a pattern, the same in every process: xorshift32. */
function randomBytes(length: number): Uint8Array {
  const words = new Uint32Array(length / 4);
  let state = 1;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer);
}

function tensorOf(dtype: Dtype, shape: readonly number[], bytes: Uint8Array): Tensor {
  const json = `{"x":{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[0,${bytes.length}]}}`;
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const file = new Uint8Array(8 + header.length + bytes.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  file.set(bytes, 8 + header.length);
  return deserialize(file).getTensor('x') as Tensor;
}

type Run = (out: Float32Array | undefined) => Float32Array | Promise<Float32Array>;

function ours(what: Decoded, bytes: Uint8Array, elements: number, asynchronous: boolean): Run {
  if (what === 'MXFP4') {
    const groups = elements / 32;
    const blocks = tensorOf('U8', [groups, 16], bytes);
    const scales: TensorLike = { dtype: 'U8', shape: [groups], data: plainScales(groups) };
    const decode = asynchronous ? decodeMxfp4Async : decodeMxfp4;
    return (out) => decode(blocks, scales, { out });
  }
  if (what === 'FP8 in blocks') {
    const rows = elements / COLUMNS;
    const weight = tensorOf('F8_E4M3', [rows, COLUMNS], bytes);
    const shape = [rows / 128, COLUMNS / 128];
    const data = new Float32Array(shape[0] * shape[1]).fill(0.125);
    const decode = asynchronous ? decodeBlockScaledAsync : decodeBlockScaled;
    return (out) => decode(weight, { dtype: 'F32', shape, data }, { out });
  }
  const tensor = tensorOf(what, [elements], bytes);
  return asynchronous ? (out) => tensor.toFloat32Async(out) : (out) => tensor.toFloat32(out);
}

function plainScales(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => 120 + (i & 7));
}

/** What one would write without this package: a shift for BF16, a table of all patterns for the rest. */
function loop(dtype: Decoded, bytes: Uint8Array, elements: number): Run {
  if (dtype === 'BF16') {
    const source = new Uint16Array(bytes.buffer);
    return (out = new Float32Array(elements)) => {
      const bits = new Uint32Array(out.buffer);
      for (let i = 0; i < bits.length; i++) bits[i] = source[i] << 16;
      return out;
    };
  }
  const patterns = 2 ** (BITS[dtype] as number);
  const every =
    patterns > 256
      ? Uint16Array.from({ length: patterns }, (_, i) => i)
      : Uint8Array.from({ length: patterns }, (_, i) => i);
  const table = tensorOf(dtype as Dtype, [patterns], new Uint8Array(every.buffer)).toFloat32();
  const source = patterns > 256 ? new Uint16Array(bytes.buffer) : bytes;
  return (out = new Float32Array(elements)) => {
    for (let i = 0; i < out.length; i++) out[i] = table[source[i]];
    return out;
  };
}

function bound(bytes: Uint8Array, elements: number): Run {
  const { expand } = createRequire(import.meta.url)(MEMORY_BOUND);
  return (out = new Float32Array(elements)) => {
    expand(bytes, out);
    return out;
  };
}

function memcpy(elements: number): Run {
  const source = new Float32Array(elements).fill(1);
  return (out = new Float32Array(elements)) => {
    out.set(source);
    return out;
  };
}

function pages(elements: number): Run {
  const { take } = createRequire(import.meta.url)(TAKE_MEMORY);
  return (out = new Float32Array(0)) => {
    take(elements * Float32Array.BYTES_PER_ELEMENT);
    return out;
  };
}

const [task, dtype, elementsText, destination, repetitions] = process.argv.slice(2);
const what = dtype as Decoded;
const elements = Number(elementsText);
const bytes = randomBytes((elements / 8) * (BITS[what] as number));
const tasks: Record<string, () => Run> = {
  ours: () => ours(what, bytes, elements, false),
  async: () => ours(what, bytes, elements, true),
  loop: () => loop(what, bytes, elements),
  bound: () => bound(bytes, elements),
  memcpy: () => memcpy(elements),
  pages: () => pages(elements),
};
const run = tasks[task]();
const out = destination === 'warm' ? new Float32Array(elements).fill(1) : undefined;
const times: number[] = [];
let result = new Float32Array(0);
// The first is for the compiler, and for the caches.
for (let repetition = 0; repetition <= Number(repetitions); repetition++) {
  const start = performance.now();
  result = (await run(out)) as Float32Array<ArrayBuffer>;
  const time = performance.now() - start;
  if (repetition > 0) times.push(time);
}
const decodes = task === 'ours' || task === 'async' || task === 'loop';
const answer: DecodeResult = {
  times,
  ...(decodes && {
    checksum: createHash('sha256').update(new Uint8Array(result.buffer)).digest('hex'),
  }),
};
console.log(JSON.stringify(answer));
