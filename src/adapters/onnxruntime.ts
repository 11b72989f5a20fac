// Of onnxruntime-node, onnxruntime-web, or whatever else has the `Tensor` of onnxruntime-common.
import { checkContainer, checkHas } from '../arguments.ts';
import type { Container, Tensor } from '../index.ts';
import type { ConvertAllOptions, ConvertOptions } from './conversion.ts';
import { type Backend, convert, convertAll, type Elements } from './convert.ts';
import { dtypes, keepElements } from './onnx-tensor.ts';

export type { Conversion, ConvertAllOptions, ConvertOptions, DtypeTable } from './conversion.ts';
export { type ExternalData, toExternalData } from './external-data.ts';
export { dtypes } from './onnx-tensor.ts';

/** What is used of the library. */
export interface OnnxRuntime {
  readonly Tensor: abstract new (...args: never) => object;
}

/** The `Tensor` of that library. */
export type OnnxTensor<Library extends OnnxRuntime> = InstanceType<Library['Tensor']>;

function backendOf<L extends OnnxRuntime>({ Tensor }: L): Backend<OnnxTensor<L>> {
  const Class = Tensor as unknown as new (
    type: string,
    data: Elements,
    dims: readonly number[],
  ) => OnnxTensor<L>;
  return {
    name: 'ONNX Runtime',
    dtypes,
    build({ shape }, elements, { type }) {
      const data = elements();
      const built = new Class(type, data, [...shape]);
      if (type === 'float16') keepElements(built, data);
      return built;
    },
  };
}

/**
 * One tensor, over the mapped file where {@link dtypes} says so: closing the container empties it, and
 * ONNX Runtime then refuses it.
 *
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE, CLOSED; FILE_CHANGED when lost pages are copied, or were read before
 * @throws {RangeError} when the tensor is longer than a typed array can be (4 GiB on Node 20)
 */
export function toTensor<L extends OnnxRuntime>(
  ort: L,
  tensor: Tensor,
  options: ConvertOptions = {},
): OnnxTensor<L> {
  return convert(backendOf(ort), tensor, options);
}

/**
 * Tensors by name, all dtypes checked before the first is made; decoded on other threads.
 * @throws {SafetensorsError} as {@link toTensor}; TENSOR_NOT_FOUND
 */
export function toTensors<L extends OnnxRuntime>(
  ort: L,
  container: Container,
  options: ConvertAllOptions = {},
): Promise<Map<string, OnnxTensor<L>>> {
  return convertAll(backendOf(ort), container, options);
}

/**
 * The inputs of a session that the container has, for `session.run({ ...feeds, ...inputs })`: of a model
 * whose weights are inputs by the names of the file.
 * @throws {SafetensorsError} as {@link toTensor}
 */
export async function toFeeds<L extends OnnxRuntime>(
  ort: L,
  session: { readonly inputNames: readonly string[] },
  container: Container,
  options: Omit<ConvertAllOptions, 'names'> = {},
): Promise<Record<string, OnnxTensor<L>>> {
  checkHas(session, 'inputNames', 'session: expected one of ONNX Runtime');
  checkContainer(container);
  const names = session.inputNames.filter((name) => container.has(name));
  return Object.fromEntries(await toTensors(ort, container, { ...options, names }));
}
