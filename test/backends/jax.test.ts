import * as jax from '@jax-js/jax';
import { deserialize, serialize } from 'safetensors-mmap';
import { dtypes, dtypesWithFloat16Array, toArray, toArrays } from 'safetensors-mmap/jax';
import { beforeAll, describe, expect, it } from 'vitest';
import { thrownBy } from '../support/errors.ts';
import { adapterContract } from './support/contract.ts';

beforeAll(async () => {
  await jax.init('wasm');
  jax.defaultDevice('wasm');
});

const hasFloat16 = 'Float16Array' in globalThis;

adapterContract<jax.Array>({
  dtypes,
  one: (tensor, options) => toArray(jax, tensor, options),
  all: (container, options) => toArrays(jax, container, options),
  // `data` takes the array's place: the reference keeps it.
  elements: (built) => built.ref.data(),
  shape: ({ shape }) => shape,
});

it('has the table of the runtime', () => {
  expect(dtypes === dtypesWithFloat16Array).toBe(hasFloat16);
  expect(dtypes.F16?.option).toBe(hasFloat16 ? undefined : 'decode');
});

describe.runIf(!hasFloat16)('without Float16Array', () => {
  it.each(['F16', 'F64'] as const)('%s is decoded, or refused', async (dtype) => {
    const data = dtype === 'F16' ? Uint16Array.of(0x3c00, 0xc100) : Float64Array.of(1, -2.5);
    const container = deserialize(serialize({ a: { dtype, shape: [2], data } as never }));
    const tensor = container.getTensor('a');
    const error = await thrownBy(() => toArray(jax, tensor));
    expect(error.code).toBe('ERR_SAFETENSORS_UNSUPPORTED_DTYPE');
    const array = toArray(jax, tensor, { decode: 'float32' });
    expect(array.dtype).toBe('float32');
    expect(await array.data()).toEqual(Float32Array.of(1, -2.5));
  });
});

it('makes arrays of the type that the table names, and computes with them', async () => {
  const container = deserialize(
    serialize({
      flags: { dtype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) },
      matrix: { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
      counts: { dtype: 'U16', shape: [2], data: Uint16Array.of(7, 65535) },
    }),
  );
  const { flags, matrix, counts } = Object.fromEntries(await toArrays(jax, container));
  expect([flags.dtype, matrix.dtype, counts.dtype]).toEqual(['bool', 'float32', 'int32']);
  const squared = jax.numpy.matmul(matrix.ref, matrix);
  expect(await squared.data()).toEqual(Float32Array.of(7, 10, 15, 22));
  flags.dispose();
  counts.dispose();
});
