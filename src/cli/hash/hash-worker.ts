import { createHash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { piecesOf } from '../file-reading.ts';
import type { HashJob, HashMessage } from './hash-jobs.ts';

const port = parentPort;
if (port === null) throw new Error('this is the script of a worker thread');

/** Bytes after which progress is told. */
const TELL_BYTES = 16 * 2 ** 20;

port.on('message', async (job: HashJob) => {
  try {
    tell({ digests: await digestsOf(job) });
  } catch (error) {
    const { message, code, path, syscall } = error as NodeJS.ErrnoException;
    const facts = { ...(code && { code }), ...(path && { path }), ...(syscall && { syscall }) };
    tell({ error: { message, ...facts } });
  }
});

function tell(message: HashMessage): void {
  port?.postMessage(message);
}

async function digestsOf({ path, begin, ends }: HashJob): Promise<string[]> {
  const digests: string[] = [];
  let hash = createHash('sha256');
  let position = begin;
  let untold = 0;
  /** Parts that end where they begin have a digest too. */
  const finishParts = () => {
    while (ends[digests.length] === position) {
      digests.push(hash.digest('hex'));
      hash = createHash('sha256');
    }
  };
  finishParts();
  for await (const piece of piecesOf({ path, begin, end: ends.at(-1) ?? begin })) {
    for (let used = 0; used < piece.length; ) {
      const length = Math.min(piece.length - used, ends[digests.length] - position);
      hash.update(piece.subarray(used, used + length));
      used += length;
      position += length;
      finishParts();
    }
    untold += piece.length;
    if (untold < TELL_BYTES) continue;
    tell({ bytes: untold });
    untold = 0;
  }
  return digests;
}
