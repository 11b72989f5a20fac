import {
  accessSync,
  constants,
  existsSync,
  readFileSync,
  realpathSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { NotMeasured } from './trial.ts';
import { atEnd } from './undo.ts';

/** Left free for everybody else. */
const SPARE_BYTES = 2 ** 30;

/** @throws {NotMeasured} unless the file system has room for so many bytes, and some more */
export function assertSpace(folder: string, bytes: number): void {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free >= bytes + SPARE_BYTES) return;
  const [needed, left] = [bytes + SPARE_BYTES, free].map((size) => (size / 1e9).toFixed(1));
  throw new NotMeasured(`${folder} has ${left} GB free, ${needed} are needed`);
}

/** How far a disk reads ahead of who reads in order; a setting of the block device. */
export interface ReadAhead {
  /** Where the kernel has it. */
  path: string;
  kilobytes: number;
}

/** Of the disk that a folder is on; `undefined` where the system does not tell. */
export function readAheadOf(folder: string): ReadAhead | undefined {
  const { dev } = statSync(folder);
  // makedev(3), as Linux has it.
  const major = (Math.floor(dev / 2 ** 8) & 0xfff) | (Math.floor(dev / 2 ** 32) & ~0xfff);
  const minor = (dev & 0xff) | (Math.floor(dev / 2 ** 12) & ~0xff);
  const link = `/sys/dev/block/${major}:${minor}`;
  if (!existsSync(link)) return undefined;
  const device = realpathSync(link);
  // A partition has the settings of its disk.
  for (const folder of [device, dirname(device)]) {
    const path = join(folder, 'queue', 'read_ahead_kb');
    if (existsSync(path)) return { path, kilobytes: Number(readFileSync(path, 'utf8')) };
  }
  return undefined;
}

/**
 * Sets the read-ahead of a disk, for all of the machine; returns what sets it back, which also the end of
 * the run does, unless it is killed.
 * @throws {NotMeasured} where it may not be set
 */
export function setReadAhead({ path, kilobytes }: ReadAhead, wanted: number): () => void {
  try {
    accessSync(path, constants.W_OK);
    writeFileSync(path, String(kilobytes));
  } catch (error) {
    throw new NotMeasured(`${path} cannot be written: ${(error as NodeJS.ErrnoException).code}`);
  }
  const restore = atEnd(() => writeFileSync(path, String(kilobytes)));
  writeFileSync(path, String(wanted));
  return restore;
}
