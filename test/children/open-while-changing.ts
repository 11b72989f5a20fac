/**
 * Opens a file, or a model of two shards, again and again while a worker changes it in the way it is
 * told; prints how often each verdict came.
 */
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  openSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { openModel, safeOpen, safeOpenSync, serialize } from 'safetensors-mmap';

const MODEL = 'model-00001-of-00001.safetensors';
const SECONDS_AT_MOST = 60;

/** A file whose bytes are all `version`, more of them the higher it is. */
function fileOf(version: number): Uint8Array {
  const data = new Uint8Array(1000 * version).fill(version);
  return serialize({ x: { dtype: 'U8', shape: [data.length], data } });
}

function change(way: string, path: string): never {
  const versions = [1, 2, 3].map(fileOf);
  const other = `${path}.other`;
  const descriptor = openSync(path, 'r+');
  for (let round = 0; ; round++) {
    const bytes = versions[round % versions.length];
    if (way === 'replaced') {
      writeFileSync(other, bytes);
      renameSync(other, path);
    } else if (way === 'grows') {
      if (round % 50 === 0) {
        writeFileSync(other, versions[0]);
        renameSync(other, path);
      }
      appendFileSync(path, 'more');
    } else {
      writeSync(descriptor, bytes, 0, bytes.length, 0); // of another length, where it is
    }
    if (round === 0) parentPort?.postMessage('changing');
  }
}

async function verdict(path: string, round: number): Promise<string> {
  try {
    const container = await [
      () => safeOpen(path),
      () => safeOpenSync(path),
      () => openModel(join(path, '..')),
    ][round % 3]();
    const { bytes, shape } = container.getTensor('x');
    // What is replaced by renaming is whole, whichever it is.
    const whole = bytes.length === shape[0] && bytes.every((byte) => 1000 * byte === bytes.length);
    container.close();
    return whole ? 'opened whole' : 'opened';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? `${error}`;
  }
}

if (isMainThread) {
  const [way, folder, rounds] = process.argv.slice(2);
  const path = join(folder, MODEL);
  writeFileSync(path, fileOf(1));
  writeFileSync(
    join(folder, 'model.safetensors.index.json'),
    JSON.stringify({ weight_map: { x: MODEL } }),
  );
  copyFileSync(path, `${path}.other`);
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { way, path } });
  // Otherwise all rounds may be over before it has begun.
  await once(worker, 'message');
  const counts: Record<string, number> = {};
  const end = performance.now() + 1000 * SECONDS_AT_MOST;
  for (let round = 0; round < Number(rounds) && performance.now() < end; round++) {
    const code = await verdict(path, round);
    counts[code] = (counts[code] ?? 0) + 1;
  }
  await worker.terminate();
  console.log(JSON.stringify(counts));
} else {
  change(workerData.way, workerData.path);
}
