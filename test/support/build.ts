import type { Dtype } from '../../src/index.ts';

/**
 * Bits of an element by dtype, written down here once more: tests do not take the sizes from the
 * code that they test.
 */
export const DTYPE_BITS: Readonly<Record<Dtype, number>> = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
};

/** All 22, in the order of the reference's writer. */
export const ALL_DTYPES = Object.keys(DTYPE_BITS) as Dtype[];

export interface TensorSource {
  name: string;
  /** Any string: to build files that are wrong. */
  dtype: string;
  shape: readonly number[];
  data: Uint8Array;
}

/** Bytes of a tensor. */
export function tensorBytes(dtype: Dtype, shape: readonly number[]): number {
  return (shape.reduce((product, dimension) => product * dimension, 1) * DTYPE_BITS[dtype]) / 8;
}

/** `length` bytes that differ from their neighbours, and from those of another `seed`. */
export function patternBytes(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 101 + (i >>> 8) * 7) & 0xff);
}

/** A file of any header and any data; `length` to lie about the header's length. */
export function rawFile(
  header: string | Uint8Array,
  data: Uint8Array = new Uint8Array(0),
  length?: bigint,
): Buffer {
  const headerBytes = Buffer.from(header);
  const preamble = Buffer.alloc(8);
  preamble.writeBigUInt64LE(length ?? BigInt(headerBytes.length));
  return Buffer.concat([preamble, headerBytes, data]);
}

export interface BuildOptions {
  metadata?: Readonly<Record<string, string>>;
  /** What the start of the data leaves when it is divided by 8; 0 as writers do. */
  dataStartModulo8?: number;
}

/**
 * A valid file: tensors in the order given, compact JSON as the reference writes it, padded with
 * spaces. (Names that are integers or `__proto__` keep their places: no object is built.)
 */
export function buildFile(tensors: readonly TensorSource[], options: BuildOptions = {}): Buffer {
  const { metadata, dataStartModulo8 = 0 } = options;
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, data }) => {
    const begin = end;
    end += data.length;
    const entry = { dtype, shape, data_offsets: [begin, end] };
    return `${JSON.stringify(name)}:${JSON.stringify(entry)}`;
  });
  if (metadata) entries.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const json = Buffer.from(`{${entries.join(',')}}`);
  const padding = (8 + dataStartModulo8 - (json.length % 8)) % 8;
  return rawFile(
    Buffer.concat([json, Buffer.alloc(padding, ' ')]),
    Buffer.concat(tensors.map(({ data }) => data)),
  );
}
