// Of @huggingface/transformers, whose Tensor is around one of ONNX Runtime.
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

/** What Transformers.js takes. */
export const dtypes: DtypeTable = Object.freeze({
  F32: view('float32'),
  F64: view('float64'),
  F16: view('float16'),
  I64: view('int64'),
  I32: view('int32'),
  I16: view('int16'),
  I8: view('int8'),
  U64: view('uint64'),
  U32: view('uint32'),
  U16: view('uint16'),
  U8: view('uint8'),
  BOOL: view('bool'),
  ...smallFloats(decoded('float32')),
});

/** What is used of the library. */
export interface Transformers {
  readonly Tensor: abstract new (...args: never) => object;
}

/** The `Tensor` of that library. */
export type TransformersTensor<Library extends Transformers> = InstanceType<Library['Tensor']>;

function backendOf<L extends Transformers>({ Tensor }: L): Backend<TransformersTensor<L>> {
  const Class = Tensor as unknown as new (
    type: string,
    data: Elements,
    dims: number[],
  ) => TransformersTensor<L>;
  return {
    name: 'Transformers.js',
    dtypes,
    build: ({ shape }, elements, { type }) => new Class(type, elements(), [...shape]),
  };
}

/**
 * One tensor, over the mapped file where {@link dtypes} says so: closing the container empties it.
 *
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE, CLOSED; FILE_CHANGED when lost pages are copied
 * @throws {RangeError} when the tensor is longer than a typed array can be (4 GiB on Node 20)
 */
export function toTensor<L extends Transformers>(
  transformers: L,
  tensor: Tensor,
  options: ConvertOptions = {},
): TransformersTensor<L> {
  return convert(backendOf(transformers), tensor, options);
}

/**
 * Tensors by name, all dtypes checked before the first is made; decoded on other threads.
 * @throws {SafetensorsError} as {@link toTensor}; TENSOR_NOT_FOUND
 */
export function toTensors<L extends Transformers>(
  transformers: L,
  container: Container,
  options: ConvertAllOptions = {},
): Promise<Map<string, TransformersTensor<L>>> {
  return convertAll(backendOf(transformers), container, options);
}
