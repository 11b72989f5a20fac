/**
 * Opens a model so many times; prints what the process holds before, meanwhile and after.
 *
 *   close FOLDER ROUNDS        opens, views everything, closes
 *   drop FOLDER ROUNDS         the same without closing
 *   fail FOLDER ROUNDS         a model that is refused
 *   terminate FOLDER ROUNDS    in workers, each terminated at a moment of chance
 *   descriptors FOLDER         prints the code of the error when there are no descriptors left
 */
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { openModel } from 'safetensors-mmap';
import { collectGarbage, holdingsOverRounds } from './support/process.js';

const MOST_MS_BEFORE_TERMINATION = 12;

async function view(folder: string) {
  const model = await openModel(folder);
  let sum = 0;
  for (const [, tensor] of model) sum += Number(tensor.data[0]);
  return { model, sum };
}

const rounds: Record<string, (folder: string) => Promise<void>> = {
  close: async (folder) => {
    const { model, sum } = await view(folder);
    if (!(sum > 0)) throw new Error('nothing was read');
    model.close();
  },
  drop: async (folder) => {
    await view(folder);
  },
  fail: async (folder) => {
    const model = await openModel(folder).catch(() => undefined);
    if (model) throw new Error('the model was not refused');
  },
  terminate: async (folder) => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: folder });
    await once(worker, 'message');
    await sleep(Math.random() * MOST_MS_BEFORE_TERMINATION);
    await worker.terminate();
  },
};

async function measured(mode: string, folder: string, count: number): Promise<void> {
  const run = async (times: number) => {
    for (let i = 0; i < times; i++) {
      await rounds[mode](folder);
      if (i % 20 === 0) await collectGarbage();
    }
  };
  await run(Math.ceil(count / 5));
  console.log(JSON.stringify(await holdingsOverRounds(folder, count, run)));
}

async function withoutDescriptors(folder: string): Promise<void> {
  const taken: number[] = [];
  for (let full = false; !full; ) {
    try {
      taken.push(openSync('/dev/null', 'r'));
    } catch {
      full = true;
    }
  }
  const code = await openModel(folder).then(
    () => 'opened',
    (error: NodeJS.ErrnoException) => error.code,
  );
  for (const descriptor of taken) closeSync(descriptor);
  using model = await openModel(folder);
  console.log(JSON.stringify({ code, size: model.size }));
}

if (!isMainThread) {
  parentPort?.postMessage('begun');
  for (;;) await Promise.all([view(workerData), view(workerData)]);
}
const [mode, folder, count] = process.argv.slice(2);
if (mode === 'descriptors') await withoutDescriptors(folder);
else await measured(mode, folder, Number(count));
