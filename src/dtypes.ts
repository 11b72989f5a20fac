import { endianness } from 'node:os';

if (endianness() !== 'LE') {
  // Views show memory as it is, and the format is little-endian.
  throw new Error('safetensors-mmap works on little-endian machines only');
}

/**
 * The one table of dtypes: name, bits of an element, and the typed array that holds it.
 *
 * In the order of the reference's writer (ascending alignment). Dtypes that JavaScript has no array
 * for are given as bits: 16-bit floats in a Uint16Array, everything of 8 bits and less in a
 * Uint8Array (F4 and F6 packed as in the file). C64 is two F32 an element.
 *
 * Meanings: OCP Microscaling Formats (MX) v1.0 for F4, F6_* and F8_E8M0; arXiv 2209.05433 for
 * F8_E4M3 and F8_E5M2; arXiv 2206.02915 for the FNUZ pair.
 */
const TABLE = [
  ['BOOL', 8, Uint8Array],
  ['F4', 4, Uint8Array],
  ['F6_E2M3', 6, Uint8Array],
  ['F6_E3M2', 6, Uint8Array],
  ['U8', 8, Uint8Array],
  ['I8', 8, Int8Array],
  ['F8_E5M2', 8, Uint8Array],
  ['F8_E4M3', 8, Uint8Array],
  ['F8_E8M0', 8, Uint8Array],
  ['F8_E4M3FNUZ', 8, Uint8Array],
  ['F8_E5M2FNUZ', 8, Uint8Array],
  ['I16', 16, Int16Array],
  ['U16', 16, Uint16Array],
  ['F16', 16, Uint16Array],
  ['BF16', 16, Uint16Array],
  ['I32', 32, Int32Array],
  ['U32', 32, Uint32Array],
  ['F32', 32, Float32Array],
  ['C64', 64, Float32Array],
  ['F64', 64, Float64Array],
  ['I64', 64, BigInt64Array],
  ['U64', 64, BigUint64Array],
] as const;

/** A dtype, spelled as in the file. */
export type Dtype = (typeof TABLE)[number][0];

type DataByDtype = { [Row in (typeof TABLE)[number] as Row[0]]: InstanceType<Row[2]> };

/** The typed array that {@link Tensor.data} is, by dtype; for all dtypes, any of them. */
export type TensorData<D extends Dtype = Dtype> = DataByDtype[D];

interface TensorDataConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (length: number): TensorData;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TensorData;
}

export interface DtypeInfo {
  readonly name: Dtype;
  /** Place in the table: what a header table stores. */
  readonly code: number;
  readonly bits: number;
  readonly array: TensorDataConstructor;
  /** Bytes of an element of that array: what it must be aligned to. */
  readonly elementBytes: number;
}

export const DTYPES: readonly DtypeInfo[] = TABLE.map(([name, bits, array], code) => ({
  name,
  code,
  bits,
  array,
  elementBytes: array.BYTES_PER_ELEMENT,
}));
