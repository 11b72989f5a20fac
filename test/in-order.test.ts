import { once } from 'node:events';
import { readFileSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type SafetensorsFile, safeOpenSync } from 'safetensors-mmap';
import { afterEach, describe, expect, it } from 'vitest';
import { readAheadOf } from '../benchmarks/harness/disk.ts';
import { type SparseTensor, writeSparseFile } from './support/sparse.ts';
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

/** A file of holes, whose last tensor ends with 1, 2 and 3. */
function openSparse(...tensors: readonly Omit<SparseTensor, 'tail'>[]) {
  const path = join(folder, `${opened.length}.safetensors`);
  writeSparseFile(
    path,
    tensors.map((tensor) => ({ ...tensor, tail: Uint8Array.of(1, 2, 3) })),
  );
  const one = { file: safeOpenSync(path), path };
  opened.push(one);
  return one;
}

/** Whether the system takes it that some of a file is read from front to back: `sr` of proc_pid_smaps(5). */
function saysInOrder(smaps: string, path: string): boolean {
  let isOfFile = false;
  return smaps.split('\n').some((line) => {
    if (/^[0-9a-f]+-/.test(line)) isOfFile = line.endsWith(path);
    return isOfFile && /^VmFlags:.* sr( |$)/.test(line);
  });
}

const isReadInOrder = (path: string) => saysInOrder(readFileSync('/proc/self/smaps', 'utf8'), path);

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

/** The same, beside a thread that is busy: posts a message when it begins, and the answer when it gets one. */
const WATCHER = `
  const { readFileSync } = require('node:fs');
  const { parentPort, receiveMessageOnPort, workerData } = require('node:worker_threads');
  ${saysInOrder}
  let seen = false;
  parentPort.postMessage('watching');
  while (!receiveMessageOnPort(parentPort)) {
    seen ||= saysInOrder(readFileSync('/proc/self/smaps', 'utf8'), workerData);
  }
  parentPort.postMessage(seen);
`;

describe.skipIf(why)('a long range', () => {
  it.each([
    ['is paged in in its order where the disk reads far ahead', LONG, isLarge],
    ['is not where it is shorter than many reads', LONG - MEGABYTE, false],
  ])('%s', async (_, byteLength, inOrder) => {
    const { file, path } = openSparse({ name: 't', byteLength });
    expect(isReadInOrder(path)).toBe(false);
    const fetching = file.prefetch(undefined, { beyondMemory: true });
    expect(await wasReadInOrder(path, fetching)).toBe(inOrder);
    expect(isReadInOrder(path)).toBe(false);
    expect((await file.residency()).residentBytes).toBeGreaterThan(byteLength / 2);
    expect(file.getTensor('t').data.slice(-4)).toEqual(Uint8Array.of(0, 1, 2, 3));
  });

  it('is not where more than a little lies elsewhere', async () => {
    const { file, path } = openSparse(
      { name: 't', byteLength: LONG },
      { name: 'between', byteLength: MEGABYTE },
      { name: 'other', byteLength: LONG / 16 },
    );
    const fetching = file.prefetch(['other', 't'], { beyondMemory: true });
    expect(await wasReadInOrder(path, fetching)).toBe(false);
  });

  it('leaves no advice behind when it is lost, or not waited for', async () => {
    const { file, path } = openSparse({ name: 't', byteLength: LONG });
    truncateSync(path, LONG / 2);
    await expect(file.prefetch(undefined, { beyondMemory: true })).rejects.toMatchObject({
      code: 'ERR_SAFETENSORS_FILE_CHANGED',
    });
    expect(isReadInOrder(path)).toBe(false);
    const { file: other, path: otherPath } = openSparse({ name: 't', byteLength: LONG + MEGABYTE });
    const controller = new AbortController();
    const { signal } = controller;
    const fetching = other.prefetch(undefined, { signal, beyondMemory: true });
    controller.abort();
    await expect(fetching).rejects.toThrow('aborted');
    while (isReadInOrder(otherPath)) await setImmediate();
  });

  it('is gathered from in its order, too', async () => {
    const rows = LONG / COLUMNS + 1;
    const { file, path } = openSparse({
      name: 't',
      byteLength: rows * COLUMNS,
      shape: [rows, COLUMNS],
    });
    const watcher = new Worker(WATCHER, { eval: true, workerData: path });
    await once(watcher, 'message');
    const { data, shape } = file.getSlice('t', null, [COLUMNS - 2, COLUMNS]);
    watcher.postMessage('enough');
    expect(await once(watcher, 'message')).toEqual([isLarge]);
    expect(shape).toEqual([rows, 2]);
    expect(data.findIndex((value) => value !== 0)).toBe(2 * rows - 2);
    expect(data.slice(-2)).toEqual(Uint8Array.of(2, 3));
    expect(isReadInOrder(path)).toBe(false);
  });
});
