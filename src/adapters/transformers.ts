// Of @huggingface/transformers, whose Tensor is around one of ONNX Runtime.
import type { Container, Tensor } from '../index.ts';
import type { ConvertAllOptions, ConvertOptions } from './conversion.ts';
import { type Backend, convert, convertAll, type Elements } from './convert.ts';
import { dtypes, keepElements } from './onnx-tensor.ts';

export type { Conversion, ConvertAllOptions, ConvertOptions, DtypeTable } from './conversion.ts';
export { dtypes } from './onnx-tensor.ts';

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
  ) => TransformersTensor<L> & { readonly ort_tensor: object };
  return {
    name: 'Transformers.js',
    dtypes,
    build({ shape }, elements, { type }) {
      const data = elements();
      const built = new Class(type, data, [...shape]);
      if (type === 'float16') keepElements(built.ort_tensor, data);
      return built;
    },
  };
}

/**
 * One tensor, over the mapped file where {@link dtypes} says so: closing the container empties it.
 *
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE, CLOSED; FILE_CHANGED when lost pages are copied, or were read before
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
