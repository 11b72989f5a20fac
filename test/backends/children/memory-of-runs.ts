/** Memory of its own that running a model over 256 MiB of mapped weights takes, in bytes. */
import * as ort from 'onnxruntime-node';
import { openModel } from 'safetensors-mmap';
import { toExternalData, toFeeds } from 'safetensors-mmap/onnxruntime';
import { memoryOf } from '../support/memory.ts';
import { onnxModel } from '../support/onnx.ts';
import { writeFilled } from '../support/weights.ts';

const SIDE = 8192;
const path = `${process.argv[2]}/large.safetensors`;
await writeFilled(path, 'w', [SIDE, SIDE], 0.5);

const x = { name: 'x', type: 'float32', shape: [1, SIDE] } as const;
const y = { name: 'y', type: 'float32', shape: [1, SIDE] } as const;
const w = { name: 'w', type: 'float32', shape: [SIDE, SIDE] } as const;
const nodes = [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }];
const input = new ort.Tensor('float32', new Float32Array(SIDE).fill(1), [1, SIDE]);

const weights = await openModel(path);
const session = await ort.InferenceSession.create(
  onnxModel({ nodes, inputs: [x, w], outputs: [y] }),
);
const fed = await memoryOf(async () => {
  const feeds = await toFeeds(ort, session, weights);
  for (let round = 0; round < 3; round++) {
    const { y } = await session.run({ ...feeds, x: input });
    if (y.data[SIDE - 1] !== SIDE / 2) throw new Error(`found ${y.data[SIDE - 1]}`);
  }
});
const external = await memoryOf(async () => {
  const model = onnxModel({
    nodes,
    inputs: [x],
    outputs: [y],
    initializers: [{ ...w, path: 'w' }],
  });
  const own = await ort.InferenceSession.create(model, { externalData: toExternalData(weights) });
  await own.run({ x: input });
});
console.log(JSON.stringify({ weights: weights.getTensor('w').byteLength, fed, external }));
