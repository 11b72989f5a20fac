/**
 * SHA-256 of every tensor of a model, by several workers that share its memory:
 *
 *   node out/examples/workers/main.js MODEL [WORKERS]
 *
 * A view cannot be sent to a worker. Each opens the model again, which takes milliseconds, and sees the same
 * pages: they are in memory once, however many threads and processes have them open.
 */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { openModel, type SafetensorsModel } from 'safetensors-mmap';

/** What a worker needs to open the very files that are open here. */
export type OpenedModel = Pick<SafetensorsModel, 'path' | 'version'>;

/** SHA-256 of a tensor, in hexadecimal. */
export type Hash = [name: string, sha256: string];

/** So many lists of names, of about as many bytes each: the largest tensors are given out first. */
function shared(sizes: ReadonlyMap<string, number>, workers: number): string[][] {
  const lists = Array.from({ length: workers }, () => ({ names: [] as string[], bytes: 0 }));
  for (const [name, bytes] of [...sizes].toSorted(([, a], [, b]) => b - a)) {
    const least = lists.reduce((a, b) => (b.bytes < a.bytes ? b : a));
    least.names.push(name);
    least.bytes += bytes;
  }
  return lists.map(({ names }) => names);
}

/** Resolves when a worker has the model open. Rejects, as the other one does, when the worker fails. */
async function start(opened: OpenedModel): Promise<Worker> {
  const worker = new Worker(new URL('worker.js', import.meta.url), { workerData: opened });
  await once(worker, 'message');
  return worker;
}

async function hash(worker: Worker, names: string[]): Promise<Hash[]> {
  worker.postMessage(names);
  const [hashes] = (await once(worker, 'message')) as [Hash[]];
  return hashes;
}

const [path, count] = process.argv.slice(2);
using model = await openModel(path);
const sizes = new Map(Array.from(model, ([name, tensor]) => [name, tensor.byteLength]));
const lists = shared(sizes, Number(count ?? availableParallelism()));
const opened = { path: model.path, version: model.version };
const workers = await Promise.all(lists.map(() => start(opened)));
const hashes = await Promise.all(workers.map((worker, i) => hash(worker, lists[i])));
const byName = new Map(hashes.flat());
for (const name of model.keys()) console.log(`${byName.get(name)}  ${name}`);
