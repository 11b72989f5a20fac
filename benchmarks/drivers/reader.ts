/**
 * Reads a file, looks at none of it, and prints what that took, as JSON.
 *
 *   lanes FILE                node:fs, through the page cache: reads of 8 MiB, four at a time
 *   dd FILE COUNT             so many dd at once, each with its part of the file, past the page cache
 *   fio FILE                  fio, past the page cache, 32 reads of 1 MiB at a time
 *   scattered FILE COUNT KIB  fio, past the page cache, so many reads of that size, anywhere in the file
 */
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { readInLanes } from './lanes.ts';
import type { ReaderResult } from './results.ts';

const MIB = 2 ** 20;
const run = promisify(execFile);

async function lanes(path: string): Promise<ReaderResult> {
  const start = performance.now();
  const bytes = await readInLanes(path);
  return { time: performance.now() - start, bytes };
}

async function dd(path: string, count: number): Promise<ReaderResult> {
  const { size } = await stat(path);
  const each = Math.ceil(Math.ceil(size / MIB) / count);
  const start = performance.now();
  const said = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      // A part that is no whole number of blocks: 16 MiB at a time, counted in bytes.
      const { stderr } = await run(
        'dd',
        [`if=${path}`, 'of=/dev/null', 'bs=16M', 'iflag=direct,skip_bytes,count_bytes'].concat(
          `skip=${i * each * MIB}`,
          `count=${each * MIB}`,
        ),
        { env: { ...process.env, LC_ALL: 'C' } },
      );
      return stderr;
    }),
  );
  const time = performance.now() - start;
  const bytes = said.map((text) => Number(/^(\d+) bytes/m.exec(text)?.[1]));
  return { time, bytes: bytes.reduce((sum, part) => sum + part, 0) };
}

const SEQUENTIAL = ['--rw=read', '--bs=1M', '--iodepth=32'];
/** So many that disks have them all in their queue, and no more memory than that. */
const MOST_AT_ONCE = 64;
const MOST_BYTES_AT_ONCE = 64 * MIB;

function scattered(count: number, kib: number): string[] {
  const bytes = 1024 * kib;
  return [
    '--rw=randread',
    `--bs=${bytes}`,
    `--io_size=${count * bytes}`,
    `--iodepth=${Math.min(MOST_AT_ONCE, MOST_BYTES_AT_ONCE / bytes)}`,
  ];
}

async function fio(path: string, pattern: readonly string[]): Promise<ReaderResult> {
  const { stdout } = await run('fio', [
    '--name=read',
    `--filename=${path}`,
    '--readonly',
    '--direct=1',
    '--ioengine=libaio',
    '--output-format=json',
    ...pattern,
  ]);
  const { jobs } = JSON.parse(stdout) as {
    jobs: { read: { runtime: number; io_bytes: number } }[];
  };
  const { runtime, io_bytes: bytes } = jobs[0].read;
  return { time: runtime, bytes };
}

const [task, path, count, kib] = process.argv.slice(2);
const tasks: Record<string, () => Promise<ReaderResult>> = {
  lanes: () => lanes(path),
  dd: () => dd(path, Number(count)),
  fio: () => fio(path, SEQUENTIAL),
  scattered: () => fio(path, scattered(Number(count), Number(kib))),
};
console.log(JSON.stringify(await tasks[task]()));
