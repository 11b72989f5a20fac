/**
 * Saves a model of 64 MiB blocks that is in memory, and prints what that cost, as JSON.
 *
 *   save FILE BLOCKS durable|cached   saveFile; durable: until it is on the disk
 *   dd FILE BLOCKS                    what the disk takes: dd, past the page cache
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, rmSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { pipeline } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { saveFile } from 'safetensors-mmap';
import { BLOCK_BYTES, blockModel } from '../models/blocks.ts';
import type { SaveResult } from './results.ts';

const LOOP_RESOLUTION_MS = 1;
const MEMORY_INTERVAL_MS = 2;

async function checksumOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), hash);
  return hash.digest('hex');
}

/** Memory that is the process's own: pages of mapped files, which the system may drop, are not. */
function ownMemory(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]);
}

async function save(path: string, blocks: number, durable: boolean): Promise<SaveResult> {
  const tensors = blockModel(blocks);
  const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  await setTimeout(100);
  const before = ownMemory();
  let peak = before;
  const sampling = setInterval(() => {
    peak = Math.max(peak, ownMemory());
  }, MEMORY_INTERVAL_MS);
  delay.enable();
  const start = performance.now();
  await saveFile(tensors, path, { fsync: durable });
  const time = performance.now() - start;
  await setTimeout(2 * LOOP_RESOLUTION_MS); // the delay that is just ending counts
  delay.disable();
  clearInterval(sampling);
  const checksum = await checksumOfFile(path);
  rmSync(path);
  return { time, longestDelay: delay.max / 1e6, memory: peak - before, checksum };
}

function dd(path: string, blocks: number): SaveResult {
  const start = performance.now();
  execFileSync(
    'dd',
    ['if=/dev/zero', `of=${path}`, 'bs=1M', `count=${(blocks * BLOCK_BYTES) / 2 ** 20}`].concat(
      'oflag=direct',
      'conv=fsync',
    ),
    { stdio: 'ignore' },
  );
  const time = performance.now() - start;
  rmSync(path);
  return { time };
}

const [task, path, blocks, mode] = process.argv.slice(2);
const tasks: Record<string, () => SaveResult | Promise<SaveResult>> = {
  save: () => save(path, Number(blocks), mode === 'durable'),
  dd: () => dd(path, Number(blocks)),
};
console.log(JSON.stringify(await tasks[task]()));
