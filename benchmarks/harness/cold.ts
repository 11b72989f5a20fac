import { execFileSync } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { safeOpen } from 'safetensors-mmap';
import { WholeFile } from './addon.ts';
import { NotMeasured } from './trial.ts';

const ATTEMPTS = 10;
const PAUSE_MS = 50;

/**
 * Evicts a file from the page cache, by GNU dd, which asks with posix_fadvise(2); pages that somebody has
 * mapped would stay. Proves with mincore(2) that none of its pages is left, those of a header included.
 *
 * @throws {NotMeasured} where the system cannot evict
 * @throws when some of it stays in memory: what is measured next would not be cold
 */
export async function makeCold(path: string): Promise<void> {
  if (process.platform !== 'linux') throw new NotMeasured('evicting a file needs Linux');
  using file = new WholeFile(path);
  let left = 0;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    evict(path);
    left = await file.residentBytes();
    if (left === 0) return;
    await setTimeout(PAUSE_MS); // pages on their way to the disk, or in a list of another CPU
  }
  throw new Error(`${path} is not cold: ${left} bytes of it stay in memory`);
}

/** Reads a file into the page cache, all of it. */
export async function makeWarm(path: string): Promise<void> {
  using file = await safeOpen(path);
  await file.prefetch();
  const { byteLength, residentBytes } = await file.residency();
  if (residentBytes < byteLength) throw new Error(`${path} does not stay in memory`);
}

function evict(path: string): void {
  execFileSync('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'], {
    stdio: 'ignore',
  });
}
