/** Workers that save a mapped file without end, each terminated at a moment of chance. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { safeOpen, saveFile } from 'safetensors-mmap';
import { collectGarbage, holdings } from './support/process.js';

const MOST_MS_BEFORE_TERMINATION = 30;

if (isMainThread) {
  const [source, target, rounds] = process.argv.slice(2);
  for (let round = 0; round < Number(rounds); round++) {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { source, target } });
    await once(worker, 'message');
    await sleep(Math.random() * MOST_MS_BEFORE_TERMINATION);
    await worker.terminate();
  }
  await collectGarbage();
  console.log(JSON.stringify(holdings(source)));
} else {
  parentPort?.postMessage('begun');
  for (;;) {
    const file = await safeOpen(workerData.source);
    await Promise.all([
      saveFile(file, workerData.target, { fsync: false }),
      saveFile(file, `${workerData.target}.2`, { fsync: false }),
    ]);
    file.close();
  }
}
