// Of @tensorflow/tfjs, or any package of TensorFlow.js that has `tensor`.
import type { Container, Tensor } from '../index.ts';
import {
  type ConvertAllOptions,
  type ConvertOptions,
  type DtypeTable,
  decoded,
  fitted,
  smallFloats,
  view,
  widened,
} from './conversion.ts';
import { type Backend, convert, convertAll, type Elements } from './convert.ts';

export type { Conversion, ConvertAllOptions, ConvertOptions, DtypeTable } from './conversion.ts';

/**
 * What TensorFlow.js takes, and what becomes of it in its `cpu` backend, which keeps the array that it is given. `wasm`
 * copies it at once, `webgl` and `webgpu` when the tensor is first used; `tensorflow` (tfjs-node) then hands its address
 * to TensorFlow.
 * (https://github.com/tensorflow/tfjs/blob/tfjs-v4.22.0/tfjs-node/binding/tfjs_backend.cc, NapiAutoRef)
 */
export const dtypes: DtypeTable = Object.freeze({
  F32: view('float32'),
  F64: decoded('float32'),
  F16: decoded('float32'),
  I64: fitted('int32'),
  I32: view('int32'),
  I16: widened('int32'),
  I8: widened('int32'),
  U64: fitted('int32'),
  U32: fitted('int32'),
  U16: widened('int32'),
  U8: widened('int32'),
  BOOL: view('bool'),
  ...smallFloats(decoded('float32')),
});

/** What is used of the library. */
export interface TensorFlow {
  tensor(...args: never): { dispose(): void };
}

/** The tensor of that library. */
export type TensorFlowTensor<Library extends TensorFlow> = ReturnType<Library['tensor']>;

function backendOf<L extends TensorFlow>(tf: L): Backend<TensorFlowTensor<L>> {
  const { tensor } = tf as unknown as {
    tensor(values: Elements, shape: number[], dtype: string): TensorFlowTensor<L>;
  };
  return {
    name: 'TensorFlow.js',
    dtypes,
    build: ({ shape }, elements, { type }) => tensor(elements(), [...shape], type),
    discard: (built) => built.dispose(),
  };
}

/**
 * One tensor, for the caller to dispose of. In the `cpu` backend it is over the mapped file where
 * {@link dtypes} says so, and closing the container empties it: close when nothing uses it any more. In `webgl` and
 * `webgpu` that holds until it is first used. In `tensorflow` dispose of it before the container is closed: TensorFlow
 * does not learn that the memory is gone.
 *
 * What a backend copies later than here, or computes on, is for {@link Tensor.assertIntact} to be asked about then.
 *
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE, CLOSED; FILE_CHANGED when lost pages are copied, or were read before
 * @throws {RangeError} an integer that does not fit; a tensor that is longer than a typed array can be
 *   (4 GiB on Node 20)
 */
export function toTensor<L extends TensorFlow>(
  tf: L,
  tensor: Tensor,
  options: ConvertOptions = {},
): TensorFlowTensor<L> {
  return convert(backendOf(tf), tensor, options);
}

/**
 * Tensors by name, all dtypes checked before the first is made; decoded on other threads. Those that
 * were made before a failure are disposed of.
 * @throws {SafetensorsError} as {@link toTensor}; TENSOR_NOT_FOUND
 */
export function toTensors<L extends TensorFlow>(
  tf: L,
  container: Container,
  options: ConvertAllOptions = {},
): Promise<Map<string, TensorFlowTensor<L>>> {
  return convertAll(backendOf(tf), container, options);
}
