/**
 * Reads a file from one end to the other, looks at none of it, and prints what that took, as JSON.
 *
 *   lanes FILE       node:fs, through the page cache: reads of 8 MiB, four at a time
 *   dd FILE COUNT    so many dd at once, each with its part of the file, past the page cache
 *   fio FILE         fio, past the page cache, 32 reads of 1 MiB at a time
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { ReaderResult } from './results.ts';

const MIB = 2 ** 20;
const LANES = 4;
const LANE_BYTES = 8 * MIB;

async function lanes(path: string): Promise<number> {
  const start = performance.now();
  await using file = await open(path);
  const { size } = await file.stat();
  let next = 0;
  const lane = async () => {
    const buffer = new Uint8Array(LANE_BYTES);
    while (next < size) {
      const begin = next;
      next += LANE_BYTES;
      const wanted = Math.min(LANE_BYTES, size - begin);
      for (let done = 0; done < wanted; ) {
        const { bytesRead } = await file.read(buffer, done, wanted - done, begin + done);
        if (bytesRead === 0) throw new Error(`${path} ends too early`);
        done += bytesRead;
      }
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return performance.now() - start;
}

async function dd(path: string, count: number): Promise<number> {
  const { size } = await stat(path);
  const blocks = Math.ceil(size / MIB);
  const each = Math.ceil(blocks / count);
  const start = performance.now();
  await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      // A part that is no whole number of blocks: 16 MiB at a time, counted in bytes.
      const child = spawn(
        'dd',
        [`if=${path}`, 'of=/dev/null', 'bs=16M', 'iflag=direct,skip_bytes,count_bytes'].concat(
          `skip=${i * each * MIB}`,
          `count=${each * MIB}`,
        ),
        { stdio: 'ignore' },
      );
      const [code] = await once(child, 'close');
      if (code !== 0) throw new Error(`dd failed with ${code}`);
    }),
  );
  return performance.now() - start;
}

async function fio(path: string): Promise<number> {
  const { stdout } = await promisify(execFile)('fio', [
    '--name=read',
    '--rw=read',
    `--filename=${path}`,
    '--readonly',
    '--direct=1',
    '--bs=1M',
    '--iodepth=32',
    '--ioengine=libaio',
    '--output-format=json',
  ]);
  const { jobs } = JSON.parse(stdout) as { jobs: { read: { runtime: number } }[] };
  return jobs[0].read.runtime;
}

const [task, path, count] = process.argv.slice(2);
const tasks: Record<string, () => Promise<number>> = {
  lanes: () => lanes(path),
  dd: () => dd(path, Number(count)),
  fio: () => fio(path),
};
const result: ReaderResult = { time: await tasks[task]() };
console.log(JSON.stringify(result));
