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

it('is cut and turned as its type says', () => {
  const data = Float32Array.from({ length: 24 }, (_, i) => i);
  const container = deserialize(serialize({ a: { dtype: 'F32', shape: [2, 3, 4], data } }));
  const array = toNdarray(ndarray, container.getTensor('a'));
  expect(array.pick(1, null, 2).get(1)).toBe(18);
  expect(array.lo(1, 1, 1).get(0, 0, 0)).toBe(17);
  expect(array.hi(1, 2, 2).shape).toEqual([1, 2, 2]);
  expect(array.step(1, 2, 1).get(0, 1, 0)).toBe(8);
  expect(array.transpose(2, 1, 0).get(3, 2, 1)).toBe(23);
  expect([array.index(1, 0, 0), array.order, array.dimension]).toEqual([12, [2, 1, 0], 3]);
});
