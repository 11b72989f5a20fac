import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { parentPort, workerData } from 'node:worker_threads';
import { openModel } from 'safetensors-mmap';
import type { Hash, OpenedModel } from './main.ts';

if (parentPort === null) throw new Error('run main.js');
const { path, version } = workerData as OpenedModel;
using model = await openModel(path, { version });
parentPort.postMessage('open');
const [names] = (await once(parentPort, 'message')) as [string[]];
const hashes = names.map((name): Hash => {
  const { bytes } = model.getTensor(name);
  return [name, createHash('sha256').update(bytes).digest('hex')];
});
parentPort.postMessage(hashes);
