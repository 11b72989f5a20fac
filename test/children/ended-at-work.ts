/**
 * Ends work on a mapped file in the middle of it, in the way that it is told, again and again; prints how
 * the work ended where there is anybody left to see it, and what is still mapped.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createWriter, type SafetensorsFile, safeOpen, saveFile } from 'safetensors-mmap';
import { Outcomes } from './support/outcomes.js';
import { collectGarbage, holdings } from './support/process.js';

const ROWS = 2048;
const COLUMNS = 1024;
const MOST_MS = 12;

type Work = (file: SafetensorsFile, path: string, onProgress?: () => void) => Promise<unknown>;

const works: Record<string, Work> = {
  prefetch: (file, _, onProgress) =>
    file.release().then(() => file.prefetch(undefined, { onProgress })),
  decode: async (file) => checked(await file.getTensor('x').toFloat32Async()),
  slice: async (file) => checked((await sliceOf(file)).data as Float32Array),
  save: (file, path, onProgress) =>
    saveFile(file, `${path}.${process.pid}.copy`, { fsync: false, onProgress }),
  write: async (file, path, onProgress) => {
    const { dtype, shape } = file.getTensor('x');
    const options = { fsync: false, onProgress };
    const writer = await createWriter(
      `${path}.${process.pid}.copy`,
      { x: { dtype, shape } },
      options,
    );
    try {
      await writer.write('x', file.getTensor('x'));
      await writer.finish();
    } finally {
      await writer.discard();
    }
  },
  iterate: async (file) => {
    for (const [, tensor] of file) {
      checked(tensor.data as Float32Array);
      await nextTurn();
    }
  },
};

function sliceOf(file: SafetensorsFile) {
  return file.getTensor('x').sliceAsync([null, [1, COLUMNS]]);
}

function checked(values: Float32Array): void {
  for (let i = 0; i < values.length; i += 101) {
    if (values[i] !== 1) throw new Error(`${values[i]} at ${i}`);
  }
}

/** In a worker, which is terminated sooner or later. */
async function workOn({ path, what }: { path: string; what: string }): Promise<never> {
  for (let round = 0; ; round++) {
    const file = await safeOpen(path);
    const working = works[what](file, path);
    if (round === 0) parentPort?.postMessage('begun');
    await working;
    if (round % 2 === 0) file.close();
  }
}

const ways: Record<string, (path: string, what: string, outcomes: Outcomes) => Promise<void>> = {
  terminate: async (path, what) => {
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { path, what } });
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    await sleep(Math.random() * MOST_MS);
    await worker.terminate();
  },
  close: async (path, what, outcomes) => {
    const file = await safeOpen(path);
    const working = outcomes.note(() => works[what](file, path));
    await sleep(Math.random() * MOST_MS);
    file.close();
    await working;
  },
  /** Nobody but the work knows of the file. */
  drop: async (path, what, outcomes) => {
    const working = outcomes.note(async () => works[what](await safeOpen(path), path));
    await nextTurn();
    await collectGarbage();
    await working;
  },
  /** Nor of the work. */
  abandon: async (path, what) => {
    void works[what](await safeOpen(path), path).catch(() => {});
    if (Math.random() < 0.5) await collectGarbage();
  },
  exit: async (path, what) => {
    const file = await safeOpen(path);
    const reports = ['prefetch', 'save', 'write'].includes(what);
    const working = works[what](file, path, () => process.exit(0));
    if (!reports) {
      await sleep((Math.random() * MOST_MS) / 2);
      process.exit(0);
    }
    await working;
    throw new Error('the progress was not told');
  },
};

if (isMainThread) {
  const [path, what, way, rounds] = process.argv.slice(2);
  if (way === 'make') {
    const data = new Float32Array(ROWS * COLUMNS).fill(1);
    const x = { dtype: 'F32', shape: [ROWS, COLUMNS], data } as const;
    await saveFile({ x, y: x, z: x }, path, { fsync: false });
  } else {
    const outcomes = new Outcomes();
    for (let round = 0; round < Number(rounds); round++) await ways[way](path, what, outcomes);
    // What nobody waits for goes on for a while.
    if (way === 'abandon') await sleep(500);
    await collectGarbage();
    const { mappings } = holdings(path);
    console.log(JSON.stringify({ outcomes: outcomes.counts, mappings }));
  }
} else {
  await workOn(workerData);
}
