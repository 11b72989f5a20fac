// Of scijs: the package ndarray.
import type { Container, Tensor } from '../index.ts';
import {
  type ConvertAllOptions,
  type ConvertOptions,
  type DtypeTable,
  decoded,
  smallFloats,
  view,
} from './conversion.ts';
import { type Backend, convert, convertAll, type Elements } from './convert.ts';

export type { Conversion, ConvertAllOptions, ConvertOptions, DtypeTable } from './conversion.ts';

/** What ndarray has; BOOL as its bytes, 0 and 1. */
export const dtypes: DtypeTable = Object.freeze({
  F32: view('float32'),
  F64: view('float64'),
  F16: decoded('float32'),
  I64: view('bigint64'),
  I32: view('int32'),
  I16: view('int16'),
  I8: view('int8'),
  U64: view('biguint64'),
  U32: view('uint32'),
  U16: view('uint16'),
  U8: view('uint8'),
  BOOL: view('uint8'),
  ...smallFloats(decoded('float32')),
});

/** The elements of an array of {@link dtypes}. */
export type NdarrayData =
  | Float32Array
  | Float64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint32Array
  | Uint16Array
  | Uint8Array
  | BigInt64Array
  | BigUint64Array;

/** An array as the library makes it. */
export interface Ndarray {
  data: NdarrayData;
  shape: number[];
  stride: number[];
  offset: number;
  readonly dtype: string;
  readonly size: number;
  readonly order: number[];
  readonly dimension: number;
  get(...indices: number[]): number | bigint;
  set(...indicesAndValue: (number | bigint)[]): unknown;
  index(...indices: number[]): number;
  lo(...starts: number[]): Ndarray;
  hi(...lengths: number[]): Ndarray;
  step(...steps: number[]): Ndarray;
  transpose(...axes: number[]): Ndarray;
  pick(...indices: (number | null)[]): Ndarray;
}

/** What is used of the library: all of it. */
export type NdarrayConstructor = (...args: never) => object;

function backendOf(ndarray: NdarrayConstructor): Backend<Ndarray> {
  const make = ndarray as unknown as (data: Elements, shape: number[]) => Ndarray;
  return { name: 'ndarray', dtypes, build: ({ shape }, elements) => make(elements(), [...shape]) };
}

/**
 * One array, over the mapped file where {@link dtypes} says so: closing the container empties it.
 *
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE, CLOSED; FILE_CHANGED when lost pages are copied, or were read before
 * @throws {RangeError} when the tensor is longer than a typed array can be (4 GiB on Node 20)
 */
export function toNdarray(
  ndarray: NdarrayConstructor,
  tensor: Tensor,
  options: ConvertOptions = {},
): Ndarray {
  return convert(backendOf(ndarray), tensor, options);
}

/**
 * Arrays by name, all dtypes checked before the first is made; decoded on other threads.
 * @throws {SafetensorsError} as {@link toNdarray}; TENSOR_NOT_FOUND
 */
export function toNdarrays(
  ndarray: NdarrayConstructor,
  container: Container,
  options: ConvertAllOptions = {},
): Promise<Map<string, Ndarray>> {
  return convertAll(backendOf(ndarray), container, options);
}
