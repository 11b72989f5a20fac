// Of @stdlib/ndarray.
import type { Container, Tensor } from '../index.ts';
import {
  type ConvertAllOptions,
  type ConvertOptions,
  type DtypeTable,
  decoded,
  fitted,
  smallFloats,
  view,
} from './conversion.ts';
import { type Backend, convert, convertAll, type Elements } from './convert.ts';

export type { Conversion, ConvertAllOptions, ConvertOptions, DtypeTable } from './conversion.ts';

/** What stdlib's ndarray has. */
export const dtypes: DtypeTable = Object.freeze({
  F32: view('float32'),
  F64: view('float64'),
  F16: decoded('float32'),
  C64: view('complex64'),
  I64: fitted('int32'),
  I32: view('int32'),
  I16: view('int16'),
  I8: view('int8'),
  U64: fitted('int32'),
  U32: view('uint32'),
  U16: view('uint16'),
  U8: view('uint8'),
  BOOL: view('bool'),
  ...smallFloats(decoded('float32')),
});

/** What is used of the library. */
export interface Stdlib {
  readonly ndarray: abstract new (...args: never) => object;
  empty(...args: never): { data: unknown };
}

/** The ndarray of that library. */
export type StdlibNdarray<Library extends Stdlib> = InstanceType<Library['ndarray']>;

/** Types whose arrays are the library's own, over the same bytes: it has no other door to them. */
const OWN_ARRAYS = ['complex64', 'bool'];

type ArrayClass = new (buffer: ArrayBufferLike, byteOffset: number, length: number) => object;

function backendOf<L extends Stdlib>(stdlib: L): Backend<StdlibNdarray<L>> {
  const { ndarray: Class, empty } = stdlib as unknown as {
    ndarray: new (...args: unknown[]) => StdlibNdarray<L>;
    empty(shape: number[], options: { dtype: string }): { data: { constructor: ArrayClass } };
  };
  const dataOf = ({ size }: Tensor, elements: Elements, type: string) => {
    if (!OWN_ARRAYS.includes(type)) return elements;
    const { constructor: OwnArray } = empty([0], { dtype: type }).data;
    return new OwnArray(elements.buffer, elements.byteOffset, size);
  };
  return {
    name: 'stdlib',
    dtypes,
    build(tensor, elements, { type }) {
      const shape = [...tensor.shape];
      // Of a scalar it wants one stride.
      const strides =
        shape.length === 0 ? [0] : shape.map((_, axis) => product(shape.slice(axis + 1)));
      return new Class(type, dataOf(tensor, elements(), type), shape, strides, 0, 'row-major');
    },
  };
}

function product(dimensions: readonly number[]): number {
  return dimensions.reduce((all, dimension) => all * dimension, 1);
}

/**
 * One ndarray, over the mapped file where {@link dtypes} says so: closing the container empties it.
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE, CLOSED; FILE_CHANGED when lost pages are copied, or were read before
 * @throws {RangeError} an integer that does not fit; a tensor that is longer than a typed array can be
 *   (4 GiB on Node 20)
 */
export function toNdarray<L extends Stdlib>(
  stdlib: L,
  tensor: Tensor,
  options: ConvertOptions = {},
) {
  return convert(backendOf(stdlib), tensor, options);
}

/**
 * Arrays by name, all dtypes checked before the first is made; decoded on other threads.
 * @throws {SafetensorsError} as {@link toNdarray}; TENSOR_NOT_FOUND
 */
export function toNdarrays<L extends Stdlib>(
  stdlib: L,
  container: Container,
  options: ConvertAllOptions = {},
): Promise<Map<string, StdlibNdarray<L>>> {
  return convertAll(backendOf(stdlib), container, options);
}
