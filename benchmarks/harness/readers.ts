import { execFileSync } from 'node:child_process';
import type { ReaderResult } from '../drivers/results.ts';
import { measure } from './child.ts';
import { makeCold } from './cold.ts';
import { median } from './compare.ts';
import { nodeDriver } from './drivers.ts';

/** A way to read a whole file that is as fast as the disk, and does nothing else. */
export interface Reader {
  name: string;
  /** Evicts the file and reads it; resolves to milliseconds. */
  read: (path: string) => Promise<number>;
}

const PARALLEL = 4;

/** Those that this machine has. */
export function findReaders(): readonly Reader[] {
  const driver = nodeDriver('reader', 'a sequential reader');
  const reader = (name: string, task: string, ...args: number[]): Reader => ({
    name,
    read: async (path) => {
      await makeCold(path);
      return (await measure<ReaderResult>(driver, task, path, ...args)).time;
    },
  });
  return [
    reader('four lanes of buffered reads', 'lanes'),
    reader('dd iflag=direct', 'dd', 1),
    reader(`${PARALLEL} × dd iflag=direct`, 'dd', PARALLEL),
    ...(hasFio() ? [reader('fio, direct, 32 × 1 MiB', 'fio')] : []),
  ];
}

/** The one with the smallest median. */
export function bestOf<Named extends { samples: readonly number[] }>(readers: readonly Named[]) {
  const [first, ...others] = readers;
  return others.reduce(
    (best, other) => (median(other.samples) < median(best.samples) ? other : best),
    first,
  );
}

function hasFio(): boolean {
  try {
    execFileSync('fio', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
