// Of @jax-js/jax.
import type { Container, Tensor } from '../index.ts';
import type { ConvertAllOptions, ConvertOptions, DtypeTable } from './conversion.ts';
import { type Backend, convert, convertAll, type Elements } from './convert.ts';
import { dtypesWithFloat16Array, dtypesWithoutFloat16Array } from './jax-dtypes.ts';

export type { Conversion, ConvertAllOptions, ConvertOptions, DtypeTable } from './conversion.ts';
export { dtypesWithFloat16Array } from './jax-dtypes.ts';

const { Float16Array }: { Float16Array?: typeof Float32Array } = globalThis as object;

/**
 * What jax-js has in this runtime, and what its devices `wasm` and `webgpu` do; `cpu`, which is for debugging, keeps
 * the array that it is given: with it, close the file when nothing uses it any more. Without a Float16Array (before
 * Node 24) F16 and F64 are decoded or refused.
 */
export const dtypes: DtypeTable = Float16Array ? dtypesWithFloat16Array : dtypesWithoutFloat16Array;

/** What is used of the library. */
export interface Jax {
  readonly numpy: { array(...args: never): { dispose(): void }; zeros(...args: never): unknown };
}

/** The array of that library. */
export type JaxArray<Library extends Jax> = ReturnType<Library['numpy']['array']>;

function backendOf<L extends Jax>({ numpy }: L): Backend<JaxArray<L>> {
  const { array, zeros } = numpy as unknown as {
    array(values: Elements, options: { shape: number[]; dtype: string }): JaxArray<L>;
    zeros(shape: number[], options: { dtype: string }): JaxArray<L>;
  };
  const valuesOf = (bits: Elements, type: string): Elements =>
    type === 'float16' && Float16Array
      ? new Float16Array(bits.buffer, bits.byteOffset, bits.length)
      : bits;
  return {
    name: 'jax-js',
    dtypes,
    build: ({ shape: [...shape], size }, elements, { type: dtype }) =>
      // It makes no array of an empty one.
      size === 0 ? zeros(shape, { dtype }) : array(valuesOf(elements(), dtype), { shape, dtype }),
    discard: (built) => built.dispose(),
  };
}

/**
 * One array, for the caller to dispose of as jax-js wants it.
 *
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE, CLOSED; FILE_CHANGED when lost pages are copied, or were read before
 * @throws {RangeError} an integer that does not fit; a tensor that is longer than a typed array can be
 *   (4 GiB on Node 20)
 */
export function toArray<L extends Jax>(
  jax: L,
  tensor: Tensor,
  options: ConvertOptions = {},
): JaxArray<L> {
  return convert(backendOf(jax), tensor, options);
}

/**
 * Arrays by name, all dtypes checked before the first is made; decoded on other threads. Those that were
 * made before a failure are disposed of.
 * @throws {SafetensorsError} as {@link toArray}; TENSOR_NOT_FOUND
 */
export function toArrays<L extends Jax>(
  jax: L,
  container: Container,
  options: ConvertAllOptions = {},
): Promise<Map<string, JaxArray<L>>> {
  return convertAll(backendOf(jax), container, options);
}
