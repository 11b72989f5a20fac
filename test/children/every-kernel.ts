/**
 * Runs every kernel of the set that SAFETENSORS_MMAP_KERNELS names, and prints a SHA-256 of all
 * results of each, as JSON: for every length from 0 to 64, sources and results at every address modulo
 * 8 and 32, and results so long that they are written around the caches.
 */
import { createHash } from 'node:crypto';
import {
  type Dtype,
  decodeBlockScaled,
  decodeMxfp4,
  deserialize,
  type EncodedDtype,
  fromFloat32,
  type Tensor,
} from 'safetensors-mmap';

const FORMATS: Partial<Record<Dtype, { bits: number; group: number }>> = {
  BOOL: { bits: 8, group: 1 },
  F4: { bits: 4, group: 2 },
  F6_E2M3: { bits: 6, group: 4 },
  F6_E3M2: { bits: 6, group: 4 },
  U8: { bits: 8, group: 1 },
  I8: { bits: 8, group: 1 },
  F8_E5M2: { bits: 8, group: 1 },
  F8_E4M3: { bits: 8, group: 1 },
  F8_E8M0: { bits: 8, group: 1 },
  F8_E4M3FNUZ: { bits: 8, group: 1 },
  F8_E5M2FNUZ: { bits: 8, group: 1 },
  I16: { bits: 16, group: 1 },
  U16: { bits: 16, group: 1 },
  F16: { bits: 16, group: 1 },
  BF16: { bits: 16, group: 1 },
  I32: { bits: 32, group: 1 },
  U32: { bits: 32, group: 1 },
  F32: { bits: 32, group: 1 },
  F64: { bits: 64, group: 1 },
  I64: { bits: 64, group: 1 },
  U64: { bits: 64, group: 1 },
};
const ENCODED: EncodedDtype[] = [
  'F16',
  'BF16',
  'F8_E5M2',
  'F8_E4M3',
  'F8_E8M0',
  'F8_E4M3FNUZ',
  'F8_E5M2FNUZ',
];
const SCALED: Dtype[] = ['F8_E4M3', 'F8_E5M2', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ', 'F4'];

/** Over the size from which results are written around the caches. */
const LONG = 2 ** 21 + 2 ** 10;

/** Bytes without a pattern, the same in every process: xorshift32. */
function randomBytes(length: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = seed;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/** `bytes` as a tensor whose memory is `start` bytes past a multiple of 8. */
function tensorAt(dtype: Dtype, shape: number[], bytes: Uint8Array, start: number): Tensor {
  const json = `{"x":{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[0,${bytes.length}]}}`;
  const header = json.padEnd(Math.ceil(json.length / 8) * 8);
  const memory = new Uint8Array(new ArrayBuffer(24 + header.length + bytes.length), 8 + start);
  new DataView(memory.buffer, memory.byteOffset).setBigUint64(0, BigInt(header.length), true);
  memory.set(Buffer.from(header), 8);
  memory.set(bytes, 8 + header.length);
  const file = memory.subarray(0, 8 + header.length + bytes.length);
  return deserialize(file).getTensor('x') as Tensor;
}

const GUARD = 12345.678;

/** Runs `fill` on a part of longer memory, and fails when it writes anywhere else. */
function guarded(start: number, length: number, fill: (out: Float32Array) => void): Uint8Array {
  const memory = new Float32Array(start + length + 8).fill(GUARD);
  fill(memory.subarray(start, start + length));
  const around = [...memory.subarray(0, start), ...memory.subarray(start + length)];
  if (around.some((value) => value !== Math.fround(GUARD))) {
    throw new Error(`${length} results, and something else, written`);
  }
  return new Uint8Array(memory.buffer, 4 * start, 4 * length);
}

function digest(produce: (take: (bytes: Uint8Array) => void) => void): string {
  const hash = createHash('sha256');
  produce((bytes) => hash.update(bytes));
  return hash.digest('hex');
}

function decodeAll(dtype: Dtype): string {
  const { bits, group } = FORMATS[dtype] as { bits: number; group: number };
  return digest((take) => {
    for (let length = 0; length <= 64; length += group) {
      for (let start = 0; start < 8; start++) {
        const bytes = randomBytes((length * bits) / 8, 1 + 64 * start + length);
        const tensor = tensorAt(dtype, [length], bytes, start);
        take(guarded(start, length, (out) => tensor.toFloat32(out)));
      }
    }
    for (const start of [0, 1, 4]) {
      const tensor = tensorAt(dtype, [LONG], randomBytes((LONG * bits) / 8, 99), start);
      take(guarded(start, LONG, (out) => tensor.toFloat32(out)));
    }
  });
}

/** Of NaN only that it is one is promised. */
function withoutPayloads(bytes: Uint8Array): Uint8Array {
  const words = new Uint32Array(bytes.slice().buffer);
  const plain = words.map((word) => ((word & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : word));
  return new Uint8Array(plain.buffer);
}

function scaleAll(dtype: Dtype): string {
  const { bits } = FORMATS[dtype] as { bits: number };
  return digest((take) => {
    for (const [rows, columns] of [
      ...Array.from({ length: 33 }, (_, i) => [3, 2 * i]),
      [5, 128 * 5 + 2],
      [2 ** 11, 2 ** 10 + 2],
      [31, 70_002],
      [220_000, 10],
    ]) {
      for (const start of [0, 3]) {
        const weight = tensorAt(
          dtype,
          [rows, columns],
          randomBytes((rows * columns * bits) / 8, 7 + columns),
          start,
        );
        const shape = [Math.ceil(rows / 2), Math.ceil(columns / 100)];
        const codes = randomBytes(shape[0] * shape[1], 5);
        const data = Float32Array.from(codes, (code) => (code - 100) / 7);
        const scale = { dtype: 'F32', shape, data } as const;
        const fill = (out: Float32Array) =>
          decodeBlockScaled(weight, scale, { blockSize: [2, 100], out });
        take(withoutPayloads(guarded(start, rows * columns, fill)));
      }
    }
  });
}

function mxfp4(): string {
  return digest((take) => {
    for (const groups of [0, 1, 2, 127, 128, 129, 2 ** 16 + 3]) {
      const blocks = tensorAt('U8', [groups, 16], randomBytes(16 * groups, 3), 1);
      const scales = tensorAt('U8', [groups], randomBytes(groups, 4), 5);
      const fill = (out: Float32Array) => decodeMxfp4(blocks, scales, { out });
      // Streaming stores are for multiples of 16 bytes.
      for (const start of [0, 3, 4]) take(withoutPayloads(guarded(start, 32 * groups, fill)));
    }
  });
}

function encodeAll(dtype: EncodedDtype): string {
  return digest((take) => {
    for (const saturate of [false, true]) {
      for (let length = 0; length <= 64; length++) {
        const bytes = randomBytes(4 * length, 3 + length);
        take(toBytes(fromFloat32(dtype, new Float32Array(bytes.slice().buffer), { saturate })));
      }
      // Bits in order, one in 4,099: every exponent, and all kinds of mantissas.
      const words = Uint32Array.from({ length: 2 ** 20 }, (_, i) => i * 4099);
      take(toBytes(fromFloat32(dtype, new Float32Array(words.buffer), { saturate })));
    }
  });
}

function toBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

const results: Record<string, string> = { 'decode MXFP4': mxfp4() };
for (const dtype of Object.keys(FORMATS) as Dtype[]) results[`decode ${dtype}`] = decodeAll(dtype);
for (const dtype of SCALED) results[`scale ${dtype}`] = scaleAll(dtype);
for (const dtype of ENCODED) results[`encode ${dtype}`] = encodeAll(dtype);
console.log(JSON.stringify(results));
