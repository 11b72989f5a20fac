import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import type { ReaderResult } from '../drivers/results.ts';
import { type Child, measure } from './child.ts';
import { makeCold } from './cold.ts';
import { median } from './compare.ts';
import { nodeDriver } from './drivers.ts';

/** A way to read a whole file that is as fast as the disk, and does nothing else. */
export interface Reader {
  /** For the ids of rows. */
  id: string;
  name: string;
  /** Evicts the file and reads it; resolves to milliseconds. */
  read: (path: string) => Promise<number>;
}

const PARALLEL = 4;
const MIB = 2 ** 20;

/** Those that this machine has. */
export function findReaders(): readonly Reader[] {
  const driver = nodeDriver('reader', 'a sequential reader');
  const reader = (id: string, name: string, task: string, ...args: number[]): Reader => ({
    id,
    name,
    read: async (path) => {
      await makeCold(path);
      const { time, bytes } = await measure<ReaderResult>(driver, task, path, ...args);
      // fio leaves out what is no whole block of its own.
      const { size } = statSync(path);
      if (!(bytes > size - MIB && bytes <= size)) throw new Error(`${name}: ${bytes} of ${size}`);
      return time;
    },
  });
  return [
    reader('lanes', 'four lanes of buffered reads', 'lanes'),
    reader('dd', 'dd iflag=direct', 'dd', 1),
    reader('dds', `${PARALLEL} × dd iflag=direct`, 'dd', PARALLEL),
    ...(hasFio() ? [reader('fio', 'fio, direct, 32 × 1 MiB', 'fio')] : []),
  ];
}

/** What the disk gives of a file when that is all that is asked of it: driver for the task `scattered`. */
export function findDisk(): Child {
  const child = nodeDriver('reader', 'the disk alone (fio, direct)');
  return hasFio() ? child : { ...child, missing: 'fio is not installed' };
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
