/** Memory of its own that a sum over 128 MiB of mapped weights takes in the `cpu` backend, in bytes. */
import * as tf from '@tensorflow/tfjs';
import { openModel } from 'safetensors-mmap';
import { toTensor } from 'safetensors-mmap/tfjs';
import { memoryOf } from '../support/memory.ts';
import { writeFilled } from '../support/weights.ts';

const SHAPE = [4096, 8192] as const;
const path = `${process.argv[2]}/large.safetensors`;
await writeFilled(path, 'w', SHAPE, 0.5);
await tf.setBackend('cpu');
await tf.ready();

using model = await openModel(path);
const tensor = model.getTensor('w');

async function sumOf(weights: tf.Tensor): Promise<void> {
  const sum = tf.tidy(() => tf.sum(weights)).dataSync()[0];
  if (sum !== (SHAPE[0] * SHAPE[1]) / 2) throw new Error(`found ${sum}`);
}

const used = await memoryOf(() => sumOf(toTensor(tf, tensor)));
const copied = await memoryOf(() => sumOf(tf.tensor(tensor.toFloat32(), [...SHAPE], 'float32')));
console.log(JSON.stringify({ weights: tensor.byteLength, used, copied }));
