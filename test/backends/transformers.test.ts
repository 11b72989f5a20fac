import * as transformers from '@huggingface/transformers';
import { deserialize, serialize } from 'safetensors-mmap';
import { dtypes, toTensor, toTensors } from 'safetensors-mmap/transformers';
import { expect, it } from 'vitest';
import { adapterContract } from './support/contract.ts';

adapterContract<transformers.Tensor>({
  dtypes,
  one: (tensor, options) => toTensor(transformers, tensor, options),
  all: (container, options) => toTensors(transformers, container, options),
  elements: ({ data }) => data as Float32Array,
  shape: ({ dims }) => dims,
});

it('makes tensors that the library computes with', async () => {
  const container = deserialize(
    serialize({ a: { dtype: 'F32', shape: [2, 2], data: Float32Array.of(3, 4, 6, 8) } }),
  );
  const tensor = toTensor(transformers, container.getTensor('a'));
  expect(tensor.normalize(2, 1).tolist()).toEqual([
    [Math.fround(0.6), Math.fround(0.8)],
    [Math.fround(0.6), Math.fround(0.8)],
  ]);
});
