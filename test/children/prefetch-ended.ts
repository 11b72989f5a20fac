/** Ends while a file is being prefetched, in the way it is told; prints how long that took. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { safeOpenSync } from 'safetensors-mmap';
import { collectGarbage } from './support/process.js';

const [path, way, chosen] = isMainThread ? process.argv.slice(2) : (workerData as string[]);
const backend = chosen === 'read' ? 'read' : 'mmap';
const open = () => safeOpenSync(path, { backend });

/** Long enough for the threads to be in the middle of it. */
const MOMENT_MS = 30;

function prefetch(): Promise<void> {
  return open().prefetch();
}

const start = performance.now();
process.on('exit', () => {
  if (isMainThread) console.log(JSON.stringify({ way, ms: performance.now() - start }));
});

switch (way) {
  case 'exit':
    void open().prefetch(undefined, { onProgress: () => process.exit(0) });
    break;
  case 'end': {
    // Aborted, so that nothing keeps the event loop alive; the threads may still be at work.
    const controller = new AbortController();
    void open()
      .prefetch(undefined, { signal: controller.signal })
      .catch(() => {});
    await sleep(MOMENT_MS);
    controller.abort();
    break;
  }
  case 'terminate':
    for (let round = 0; round < 20; round++) {
      const worker = new Worker(fileURLToPath(import.meta.url), {
        workerData: [path, 'work', chosen],
      });
      await new Promise((resolve) => worker.once('message', resolve));
      await sleep(Math.random() * MOMENT_MS);
      await worker.terminate();
    }
    break;
  case 'close': {
    for (let round = 0; round < 20; round++) {
      const file = open();
      const pending = file.prefetch().catch((error: NodeJS.ErrnoException) => error.code);
      await sleep(Math.random() * MOMENT_MS);
      file.close();
      if ((await pending) !== 'ERR_SAFETENSORS_CLOSED') throw new Error('not CLOSED');
    }
    break;
  }
  case 'drop':
    for (let round = 0; round < 20; round++) {
      const signal = AbortSignal.timeout(Math.ceil(Math.random() * MOMENT_MS));
      await open()
        .prefetch(undefined, { signal })
        .catch(() => {});
      await collectGarbage();
    }
    break;
  case 'work':
    void prefetch();
    parentPort?.postMessage('begun');
    break;
  default:
    throw new Error(`unknown way ${way}`);
}
