import { readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { type SafetensorsFile, safeOpenSync } from 'safetensors-mmap';
import { afterEach, describe, expect, it } from 'vitest';
import { readAheadOf } from '../benchmarks/harness/disk.ts';
import { writeSparseFile } from './support/sparse.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const MEGABYTE = 2 ** 20;
const LEAST_READ_AHEAD = 4 * MEGABYTE;
/** Of its disk's read-ahead a range has so many at least, if it is read in its order. */
const READS = 48;
const MOST_BYTES = 2 ** 31;

const readAhead = 1024 * (readAheadOf(folder)?.kilobytes ?? 0);
const isLarge = readAhead >= LEAST_READ_AHEAD;
const LONG = READS * Math.max(readAhead, LEAST_READ_AHEAD);
const COLUMNS = 1024;

const why =
  process.platform !== 'linux'
    ? 'it needs Linux'
    : LONG > MOST_BYTES && `the disk's read-ahead of ${readAhead} bytes is too large for a test`;
if (why) console.warn(`long ranges in their order: left out: ${why}`);
else if (!isLarge) console.warn('long ranges: the disk reads too little ahead for their order');

const opened: { file: SafetensorsFile; path: string }[] = [];
afterEach(() => {
  for (const { file, path } of opened.splice(0)) {
    file.close();
    rmSync(path);
  }
});

function openSparse(byteLength: number): { file: SafetensorsFile; path: string } {
  const path = join(folder, `${byteLength}.safetensors`);
  writeSparseFile(path, [{ name: 't', byteLength, tail: Uint8Array.of(1, 2, 3) }]);
  const one = { file: safeOpenSync(path), path };
  opened.push(one);
  return one;
}

/** Whether the system takes it that some of a file is read from front to back: `sr` of proc_pid_smaps(5). */
function isReadInOrder(path: string): boolean {
  let isOfFile = false;
  return readFileSync('/proc/self/smaps', 'utf8')
    .split('\n')
    .some((line) => {
      if (/^[0-9a-f]+-/.test(line)) isOfFile = line.endsWith(path);
      return isOfFile && /^VmFlags:.* sr( |$)/.test(line);
    });
}

/** Whether it was while something went on. */
async function wasReadInOrder(path: string, work: Promise<unknown>): Promise<boolean> {
  const going = { on: true };
  const ended = work.finally(() => {
    going.on = false;
  });
  let seen = false;
  while (going.on) {
    seen ||= isReadInOrder(path);
    await setImmediate();
  }
  await ended;
  return seen;
}

describe.skipIf(why)('a long range', () => {
  it.each([
    ['is paged in in its order where the disk reads far ahead', LONG, isLarge],
    ['is not where it is shorter than many reads', LONG - MEGABYTE, false],
  ])('%s', async (_, byteLength, inOrder) => {
    const { file, path } = openSparse(byteLength);
    expect(isReadInOrder(path)).toBe(false);
    expect(await wasReadInOrder(path, file.prefetch())).toBe(inOrder);
    expect(isReadInOrder(path)).toBe(false);
    expect(await file.residency()).toEqual({ byteLength, residentBytes: byteLength });
    expect(file.getTensor('t').data.slice(-4)).toEqual(Uint8Array.of(0, 1, 2, 3));
  });

  it('leaves no advice behind when it is lost, or not waited for', async () => {
    const { file, path } = openSparse(LONG);
    truncateSync(path, LONG / 2);
    await expect(file.prefetch()).rejects.toMatchObject({ code: 'ERR_SAFETENSORS_FILE_CHANGED' });
    expect(isReadInOrder(path)).toBe(false);
    const { file: other, path: otherPath } = openSparse(LONG + MEGABYTE);
    const controller = new AbortController();
    const fetching = other.prefetch(undefined, { signal: controller.signal });
    controller.abort();
    await expect(fetching).rejects.toThrow('aborted');
    while (isReadInOrder(otherPath)) await setImmediate();
  });

  it('is gathered from', () => {
    const path = join(folder, 'columns.safetensors');
    const rows = LONG / COLUMNS + 1;
    writeSparseFile(path, [
      {
        name: 't',
        byteLength: rows * COLUMNS,
        tail: Uint8Array.of(7, 8, 9),
        shape: [rows, COLUMNS],
      },
    ]);
    const file = safeOpenSync(path);
    opened.push({ file, path });
    const { data, shape } = file.getSlice('t', null, [COLUMNS - 2, COLUMNS]);
    expect(shape).toEqual([rows, 2]);
    expect(data.findIndex((value) => value !== 0)).toBe(2 * rows - 2);
    expect(data.slice(-2)).toEqual(Uint8Array.of(8, 9));
    expect(isReadInOrder(path)).toBe(false);
  });
});
