import ndarray from 'ndarray';
import { deserialize, serialize } from 'safetensors-mmap';
import { dtypes, type Ndarray, toNdarray, toNdarrays } from 'safetensors-mmap/ndarray';
import { expect, it } from 'vitest';
import { patternBytes } from '../support/build.ts';
import { adapterContract } from './support/contract.ts';

adapterContract<Ndarray>({
  dtypes,
  one: (tensor, options) => toNdarray(ndarray, tensor, options),
  all: (container, options) => toNdarrays(ndarray, container, options),
  elements: ({ data }) => data,
  shape: ({ shape }) => shape,
});

it.each(Object.entries(dtypes).filter(([, { option }]) => option === undefined))(
  '%s is what ndarray calls by the name of the table',
  (dtype, { type }) => {
    const data = patternBytes(8);
    const shape = [8 / (Number(/\d+/.exec(dtype)?.[0] ?? 8) / 8)];
    const container = deserialize(serialize({ a: { dtype, shape, data } as never }));
    expect(toNdarray(ndarray, container.getTensor('a')).dtype).toBe(type);
  },
);

it('is indexed in C order', () => {
  const data = Float32Array.from({ length: 24 }, (_, i) => i);
  const container = deserialize(serialize({ a: { dtype: 'F32', shape: [2, 3, 4], data } }));
  const array = toNdarray(ndarray, container.getTensor('a'));
  expect(array.get(1, 2, 3)).toBe(23);
  expect(array.get(1, 0, 2)).toBe(14);
});
