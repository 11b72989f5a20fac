/** Memory of its own that a tensor of 64 MiB of mapped weights takes in onnxruntime-web, and a run over it, in bytes. */
import * as ort from 'onnxruntime-web';
import { openModel } from 'safetensors-mmap';
import { toTensor } from 'safetensors-mmap/onnxruntime';
import { memoryOf } from '../support/memory.ts';
import { onnxModel } from '../support/onnx.ts';
import { writeFilled } from '../support/weights.ts';

const SIDE = 4096;
const path = `${process.argv[2]}/web.safetensors`;
await writeFilled(path, 'w', [SIDE, SIDE], 0.5);
ort.env.wasm.numThreads = 1;

const x = { name: 'x', type: 'float32', shape: [1, SIDE] } as const;
const y = { name: 'y', type: 'float32', shape: [1, SIDE] } as const;
const w = { name: 'w', type: 'float32', shape: [SIDE, SIDE] } as const;
const nodes = [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }];
const input = new ort.Tensor('float32', new Float32Array(SIDE).fill(1), [1, SIDE]);

using weights = await openModel(path);
const tensor = weights.getTensor('w');
const session = await ort.InferenceSession.create(
  onnxModel({ nodes, inputs: [x, w], outputs: [y] }),
);
const fed: Record<string, ort.Tensor> = {};
const made = await memoryOf(async () => {
  fed.w = toTensor(ort, tensor);
});
const run = await memoryOf(async () => {
  const { y } = await session.run({ ...fed, x: input });
  if (y.data[SIDE - 1] !== SIDE / 2) throw new Error(`found ${y.data[SIDE - 1]}`);
});
console.log(JSON.stringify({ weights: tensor.byteLength, made, run }));
