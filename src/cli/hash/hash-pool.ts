import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { FileRange } from '../file-reading.ts';
import { type HashJob, type HashMessage, jobsOf } from './hash-jobs.ts';

/** More do not read a disk any faster. */
const MOST_WORKERS = 8;

const SCRIPT = new URL('./hash-worker.js', import.meta.url);

export interface HashOptions {
  readonly signal: AbortSignal;
  /** Called with the bytes that have been read since it was called last. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * SHA-256 of parts of files, in hexadecimal digits, worked out on other threads.
 *
 * @throws {SafetensorsError} FILE_CHANGED when a file ends too early
 * @throws {Error} of Node's own shape
 * @throws the reason of the signal
 */
export async function hashRanges(
  ranges: readonly FileRange[],
  { signal, onBytes }: HashOptions,
): Promise<string[]> {
  const jobs = jobsOf(ranges);
  const digests: (readonly string[])[] = [];
  const workers = Array.from(
    { length: Math.min(jobs.length, availableParallelism(), MOST_WORKERS) },
    () => new Worker(SCRIPT),
  );
  let next = 0;
  const runAll = async (worker: Worker) => {
    while (next < jobs.length) {
      const place = next++;
      digests[place] = await run(worker, jobs[place], onBytes);
    }
  };
  try {
    await Promise.race([aborted(signal), Promise.all(workers.map(runAll))]);
    return digests.flat();
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.throwIfAborted();
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function run(
  worker: Worker,
  job: HashJob,
  onBytes: HashOptions['onBytes'],
): Promise<readonly string[]> {
  return new Promise((resolve, reject) => {
    const settle = (action: () => void) => {
      worker.off('message', onMessage);
      worker.off('error', onError);
      action();
    };
    const onError = (error: unknown) => settle(() => reject(error));
    const onMessage = (message: HashMessage) => {
      if ('bytes' in message) onBytes(message.bytes);
      else if ('digests' in message) settle(() => resolve(message.digests));
      else settle(() => reject(Object.assign(new Error(message.error.message), message.error)));
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.postMessage(job);
  });
}
