/** Closes the file under ONNX Runtime, and runs on; prints what came of it. */
import * as ort from 'onnxruntime-node';
import { openModel } from 'safetensors-mmap';
import { toExternalData, toFeeds } from 'safetensors-mmap/onnxruntime';
import { onnxModel } from '../support/onnx.ts';

const weights = await openModel(process.argv[2]);
const x = { name: 'x', type: 'float32', shape: [1, 64] } as const;
const y = { name: 'y', type: 'float32', shape: [1, 32] } as const;
const w = { name: 'layer.weight', type: 'float32', shape: [64, 32] } as const;
const nodes = [{ op: 'MatMul', inputs: ['x', w.name], outputs: ['y'] }];
const input = new ort.Tensor('float32', new Float32Array(64).fill(1), [1, 64]);

const fed = await ort.InferenceSession.create(onnxModel({ nodes, inputs: [x, w], outputs: [y] }));
const feeds = { ...(await toFeeds(ort, fed, weights)), x: input };
const initializers = [{ ...w, path: w.name }];
const external = await ort.InferenceSession.create(
  onnxModel({ nodes, inputs: [x], outputs: [y], initializers }),
  { externalData: toExternalData(weights, [w.name]) },
);
await fed.run(feeds);
const before = (await external.run({ x: input })).y.data as Float32Array;

weights.close();
for (let round = 0; round < 10; round++) {
  globalThis.gc?.();
  await new Promise((resolve) => setImmediate(resolve));
}
const refused = await fed.run(feeds).then(
  () => 'it ran',
  (error) => String(error),
);
const after = (await external.run({ x: input })).y.data as Float32Array;
console.log(JSON.stringify({ refused, same: before.every((value, i) => value === after[i]) }));
