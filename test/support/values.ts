import { expect } from 'vitest';
import type { Dtype, Tensor, TensorData } from '../../src/index.ts';

interface Elements {
  array: new (length: number) => TensorData;
  /** Bytes of an element of the array. */
  bytes: number;
  read(view: DataView, at: number): number | bigint;
}

const ELEMENTS = {
  u8: { array: Uint8Array, bytes: 1, read: (view, at) => view.getUint8(at) },
  i8: { array: Int8Array, bytes: 1, read: (view, at) => view.getInt8(at) },
  u16: { array: Uint16Array, bytes: 2, read: (view, at) => view.getUint16(at, true) },
  i16: { array: Int16Array, bytes: 2, read: (view, at) => view.getInt16(at, true) },
  u32: { array: Uint32Array, bytes: 4, read: (view, at) => view.getUint32(at, true) },
  i32: { array: Int32Array, bytes: 4, read: (view, at) => view.getInt32(at, true) },
  f32: { array: Float32Array, bytes: 4, read: (view, at) => view.getFloat32(at, true) },
  f64: { array: Float64Array, bytes: 8, read: (view, at) => view.getFloat64(at, true) },
  u64: { array: BigUint64Array, bytes: 8, read: (view, at) => view.getBigUint64(at, true) },
  i64: { array: BigInt64Array, bytes: 8, read: (view, at) => view.getBigInt64(at, true) },
} satisfies Record<string, Elements>;

/** What `data` is made of, by dtype: DESIGN.md's list, read through a DataView. */
export const DATA_ELEMENTS: Readonly<Record<Dtype, Elements>> = {
  BOOL: ELEMENTS.u8,
  F4: ELEMENTS.u8,
  F6_E2M3: ELEMENTS.u8,
  F6_E3M2: ELEMENTS.u8,
  U8: ELEMENTS.u8,
  I8: ELEMENTS.i8,
  F8_E5M2: ELEMENTS.u8,
  F8_E4M3: ELEMENTS.u8,
  F8_E8M0: ELEMENTS.u8,
  F8_E4M3FNUZ: ELEMENTS.u8,
  F8_E5M2FNUZ: ELEMENTS.u8,
  I16: ELEMENTS.i16,
  U16: ELEMENTS.u16,
  F16: ELEMENTS.u16,
  BF16: ELEMENTS.u16,
  I32: ELEMENTS.i32,
  U32: ELEMENTS.u32,
  F32: ELEMENTS.f32,
  C64: ELEMENTS.f32,
  F64: ELEMENTS.f64,
  I64: ELEMENTS.i64,
  U64: ELEMENTS.u64,
};

/** The elements that little-endian `bytes` are in a dtype's array. */
export function expectedValues(dtype: Dtype, bytes: Uint8Array): (number | bigint)[] {
  const { bytes: step, read } = DATA_ELEMENTS[dtype];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / step }, (_, i) => read(view, i * step));
}

/** Checks a tensor's bytes, and the class and values of its data; -0 and NaN count. */
export function expectContents(tensor: Tensor, bytes: Uint8Array): void {
  expect(Buffer.compare(tensor.bytes, bytes), `bytes of ${tensor.name}`).toBe(0);
  const { data, dtype } = tensor;
  expect(data.constructor, dtype).toBe(DATA_ELEMENTS[dtype].array);
  const expected = expectedValues(dtype, bytes);
  expect(data.length, dtype).toBe(expected.length);
  const wrong = expected.findIndex((value, i) => !Object.is(value, data[i]));
  expect(wrong, `first wrong element of ${dtype}`).toBe(-1);
}
