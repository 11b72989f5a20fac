import * as transformers from '@huggingface/transformers';
import { InferenceSession } from 'onnxruntime-node';
import { deserialize, openModel, saveFile, serialize } from 'safetensors-mmap';
import { dtypes as ofOnnxRuntime } from 'safetensors-mmap/onnxruntime';
import { dtypes, toTensor, toTensors } from 'safetensors-mmap/transformers';
import { expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.ts';
import { adapterContract } from './support/contract.ts';
import { onnxModel } from './support/onnx.ts';

const folder = temporaryFolder();

adapterContract<transformers.Tensor>({
  dtypes,
  one: (tensor, options) => toTensor(transformers, tensor, options),
  all: (container, options) => toTensors(transformers, container, options),
  elements: ({ data }) => data as Float32Array,
  shape: ({ dims }) => dims,
});

it('takes what ONNX Runtime takes', () => {
  expect(dtypes).toBe(ofOnnxRuntime);
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

/** 1, 2, 3 and 4. */
const HALVES = Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x4400);

/** A tensor that is not the first of its file. */
async function mappedHalves() {
  const path = `${folder}/halves.safetensors`;
  const before = { dtype: 'F16', shape: [4], data: new Uint16Array(4).fill(0x5555) } as const;
  await saveFile({ before, halves: { dtype: 'F16', shape: [2, 2], data: HALVES } }, path);
  return openModel(path);
}

it('has a model of the library run over F16', async () => {
  using container = await mappedHalves();
  const session = await InferenceSession.create(
    onnxModel({
      nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['image_features'] }],
      inputs: [{ name: 'x', type: 'float16', shape: [2, 2] }],
      outputs: [{ name: 'image_features', type: 'float16', shape: [2, 2] }],
    }),
  );
  const config = new transformers.PretrainedConfig({ model_type: 'test' });
  const model = new transformers.PreTrainedModel(config, { vision_encoder: session }, {});
  const x = toTensor(transformers, container.getTensor('halves'));
  const y: transformers.Tensor = await model.encode_image({ x });
  expect(y.to('float32').tolist()).toEqual([
    [1, 2],
    [3, 4],
  ]);
});

it('makes F16 that the library turns into numbers', async () => {
  using container = await mappedHalves();
  const x = toTensor(transformers, container.getTensor('halves'));
  expect(x.to('float32').tolist()).toEqual([
    [1, 2],
    [3, 4],
  ]);
  expect(x.slice(1, [0, 2]).to('float32').tolist()).toEqual([3, 4]);
});
