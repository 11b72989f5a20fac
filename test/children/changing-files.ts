/**
 * Workers that open and read a file without end, while another thread cuts it short, rewrites, replaces and
 * removes it; prints how their attempts ended. What is read is what the file had, or the reading fails.
 */
import { once } from 'node:events';
import { renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type SafetensorsFile, safeOpen, safeOpenSync, serialize } from 'safetensors-mmap';
import { Outcomes } from './support/outcomes.js';
import { collectGarbage, holdings } from './support/process.js';

const PAGE = 4096;
const ELEMENTS = 2 ** 17;
const WORKERS = 3;

interface Job {
  path: string;
  stop: Int32Array;
}

async function change(path: string, content: Uint8Array): Promise<void> {
  // To whole pages: of one that is cut, the system itself makes the rest zeros.
  const pages = 1 + Math.floor((Math.random() * (content.length - PAGE)) / PAGE);
  const changes = [
    () => truncateSync(path, pages * PAGE),
    () => writeFileSync(path, content),
    () => {
      writeFileSync(`${path}.new`, content);
      renameSync(`${path}.new`, path);
    },
    () => rmSync(path),
  ];
  changes[Math.floor(Math.random() * changes.length)]();
  await someTurns();
  writeFileSync(path, content);
  await someTurns();
}

async function someTurns(): Promise<void> {
  for (let turns = Math.random() * 100; turns > 0; turns--) await nextTurn();
}

function assertOnes(values: Float32Array, mayBeLost: boolean): void {
  for (let i = 0; i < values.length; i += 7) {
    if (values[i] !== 1 && !(mayBeLost && values[i] === 0)) throw new Error(`${values[i]} at ${i}`);
  }
}

/** One of several ways to use a file. */
async function use(file: SafetensorsFile, round: number, outcomes: Outcomes): Promise<void> {
  const tensor = file.getTensor('x');
  switch (round % 4) {
    case 0:
      assertOnes(tensor.data as Float32Array, true);
      await outcomes.note(() => file.check());
      break;
    case 1:
      assertOnes((await outcomes.note(() => tensor.toFloat32Async())) ?? new Float32Array(), false);
      break;
    case 2: {
      const slice = await outcomes.note(() => tensor.slice(null, [1, 100]));
      if (slice) assertOnes(slice.data as Float32Array, false);
      break;
    }
    default:
      // Reads that nobody waits for, and a file that is closed meanwhile or left to the collector.
      void tensor.toFloat32Async().catch(() => {});
      assertOnes((tensor.data as Float32Array).slice(), true);
  }
  if (round % 3 > 0) file.close();
}

async function work({ path, stop }: Job): Promise<Outcomes> {
  const outcomes = new Outcomes();
  for (let round = 0; Atomics.load(stop, 0) === 0; round++) {
    const open = round % 2 === 0 ? safeOpen : safeOpenSync;
    const file = await outcomes.note(() => open(path));
    if (file) await use(file, round, outcomes);
    await nextTurn();
  }
  return outcomes;
}

if (isMainThread) {
  const [path, rounds] = process.argv.slice(2);
  const data = new Float32Array(ELEMENTS).fill(1);
  const content = serialize(
    { x: { dtype: 'F32', shape: [ELEMENTS / 128, 128], data } },
    { alignment: PAGE },
  );
  writeFileSync(path, content);
  const stop = new Int32Array(new SharedArrayBuffer(4));
  const script = fileURLToPath(import.meta.url);
  const workers = Array.from(
    { length: WORKERS },
    () => new Worker(script, { workerData: { path, stop } satisfies Job }),
  );
  const messages = () => Promise.all(workers.map((worker) => once(worker, 'message')));
  await messages(); // they are at work
  for (let round = 0; round < Number(rounds); round++) await change(path, content);
  Atomics.store(stop, 0, 1);
  const outcomes = (await messages()).flat();
  await collectGarbage();
  console.log(JSON.stringify({ outcomes, mappings: holdings(path).mappings }));
} else {
  parentPort?.postMessage('begun');
  const outcomes = await work(workerData);
  parentPort?.postMessage(outcomes.counts);
}
