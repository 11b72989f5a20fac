import stdlib from '@stdlib/ndarray';
import { deserialize, serialize } from 'safetensors-mmap';
import { dtypes, type StdlibNdarray, toNdarray, toNdarrays } from 'safetensors-mmap/stdlib';
import { expect, it } from 'vitest';
import { adapterContract } from './support/contract.ts';

interface Found {
  data: ArrayBufferView & { buffer: ArrayBufferLike };
  shape: number[];
  dtype: unknown;
  get(...indices: number[]): unknown;
}

adapterContract<StdlibNdarray<typeof stdlib>>({
  dtypes,
  one: (tensor, options) => toNdarray(stdlib, tensor, options),
  all: (container, options) => toNdarrays(stdlib, container, options),
  elements: (built) => (built as unknown as Found).data,
  shape: (built) => [...(built as unknown as Found).shape],
});

it('gives elements as stdlib has them', () => {
  const container = deserialize(
    serialize({
      flags: { dtype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) },
      complex: { dtype: 'C64', shape: [1, 2], data: Float32Array.of(1, 2, 3, 4) },
      matrix: { dtype: 'F32', shape: [2, 3], data: Float32Array.of(0, 1, 2, 3, 4, 5) },
    }),
  );
  const array = (name: string) => toNdarray(stdlib, container.getTensor(name)) as unknown as Found;
  for (const [name, { dtype }] of container) {
    expect(String(array(name).dtype)).toBe(dtypes[dtype]?.type);
  }
  expect([array('flags').get(0), array('flags').get(1)]).toEqual([true, false]);
  expect(String(array('complex').get(0, 1))).toBe('3 + 4i');
  expect(array('matrix').get(1, 2)).toBe(5);
});
