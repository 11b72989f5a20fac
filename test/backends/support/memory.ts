import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

/** Memory of this process's own, in bytes: mapped pages of a file are not of it. */
export function anonymousBytes(): number {
  const text = readFileSync('/proc/self/smaps_rollup', 'utf8');
  return 1024 * Number(/^Anonymous:\s+(\d+) kB$/m.exec(text)?.[1]);
}

const SAMPLER = `
const { parentPort, workerData: most } = require('node:worker_threads');
const { readFileSync } = require('node:fs');
for (;;) {
  const now = Number(/^Anonymous:\\s+(\\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'utf8'))[1]);
  if (now > Atomics.load(most, 0)) Atomics.store(most, 0, now);
  Atomics.add(most, 1, 1);
  Atomics.wait(most, 2, 0, 2);
}`;

/** How much more memory of its own the process has while `action` runs, at the most; in bytes. */
export async function memoryOf(action: () => Promise<void>): Promise<number> {
  const most = new Int32Array(new SharedArrayBuffer(12));
  const sampler = new Worker(SAMPLER, { eval: true, workerData: most });
  while (Atomics.load(most, 1) < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  const before = anonymousBytes();
  Atomics.store(most, 0, before / 1024);
  const samples = Atomics.load(most, 1);
  await action();
  while (Atomics.load(most, 1) < samples + 2)
    await new Promise((resolve) => setTimeout(resolve, 5));
  await sampler.terminate();
  return 1024 * most[0] - before;
}
