import { readFileSync } from 'node:fs';
import { type Container, type Dtype, deserialize, type Tensor } from '../../src/index.ts';
import { buildFile, DTYPE_BITS } from './build.ts';

/** What Python said of the number formats: see interop/number_formats.py. */
export interface NumberFormats {
  ml_dtypes: string;
  numpy: string;
  decode: Partial<Record<Dtype, { f32: string } | { sha256: string }>>;
  encode: { inputs: string; outputs: Partial<Record<Dtype, string>> };
}

const fixture = new URL('../fixtures/number-formats.json', import.meta.url);
export const numberFormats: NumberFormats = JSON.parse(readFileSync(fixture, 'utf8'));

export function fromBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'base64'));
}

/** The bits of each F32. */
export function bitsOf({ buffer, byteOffset, length }: Float32Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, length);
}

export function floatsOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.slice().buffer);
}

/** Every NaN as the quiet one without a payload; the sign stays. */
export function plainNans(bits: Uint32Array): Uint32Array {
  return bits.map((value) =>
    (value & 0x7fffffff) > 0x7f800000 ? ((value & 0x80000000) | 0x7fc00000) >>> 0 : value,
  );
}

/** Every pattern of a dtype of up to 16 bits, in its order. */
export function everyPattern(dtype: Dtype): Uint8Array {
  const bits = DTYPE_BITS[dtype];
  if (bits === 16) {
    return new Uint8Array(Uint16Array.from({ length: 2 ** 16 }, (_, i) => i).buffer);
  }
  if (bits === 8) return Uint8Array.from({ length: 256 }, (_, i) => i);
  if (bits === 4) return Uint8Array.from({ length: 8 }, (_, i) => 2 * i + ((2 * i + 1) << 4));
  const bytes = new Uint8Array((64 * 6) / 8);
  for (let pattern = 0; pattern < 64; pattern++) {
    for (let bit = 0; bit < 6; bit++) {
      const at = 6 * pattern + bit;
      bytes[at >> 3] |= ((pattern >> bit) & 1) << (at & 7);
    }
  }
  return bytes;
}

export function containerOf(dtype: Dtype, data: Uint8Array, shape?: readonly number[]): Container {
  const length = (data.length * 8) / DTYPE_BITS[dtype];
  return deserialize(buildFile([{ name: 'x', dtype, shape: shape ?? [length], data }]));
}

/** A tensor in memory. */
export function tensorOf(dtype: Dtype, data: Uint8Array, shape?: readonly number[]): Tensor {
  return containerOf(dtype, data, shape).getTensor('x') as Tensor;
}
