/** Workers that open, read, close and drop files without end, each terminated at a moment of chance. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { safeOpen, safeOpenSync } from 'safetensors-mmap';
import { holdingsOverRounds } from './support/process.js';

interface Job {
  path: string;
  tensor: string;
}

const MOST_MS_BEFORE_TERMINATION = 12;

async function work({ path, tensor }: Job): Promise<never> {
  parentPort?.postMessage('begun');
  const kept = [];
  for (;;) {
    const [first, second] = await Promise.all([safeOpen(path), safeOpen(path)]);
    kept.push(first.getTensor(tensor).data, safeOpenSync(path).getTensor(tensor).data);
    second.close();
    if (kept.length > 100) kept.length = 0;
  }
}

async function terminateAll(job: Job, rounds: number, atOnce: number): Promise<void> {
  for (let round = 0; round < rounds; round += atOnce) {
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        const worker = new Worker(fileURLToPath(import.meta.url), { workerData: job });
        await once(worker, 'message');
        await sleep(Math.random() * MOST_MS_BEFORE_TERMINATION);
        await worker.terminate();
      }),
    );
  }
}

if (isMainThread) {
  const [path, tensor, rounds] = process.argv.slice(2);
  const job = { path, tensor };
  await terminateAll(job, 8, 4);
  const held = await holdingsOverRounds(path, Number(rounds), (count) =>
    terminateAll(job, count, 4),
  );
  console.log(JSON.stringify(held));
} else {
  await work(workerData);
}
