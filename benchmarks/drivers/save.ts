/**
 * Saves a model and prints what that cost, as JSON.
 *
 *   save FILE BLOCKS durable|cached     blocks of 64 MiB that are in memory; durable: until they are on the disk
 *   copy FILE SOURCE durable|cached     the tensors of a file that is open
 *   tensors FILE COUNT durable|cached   so many tensors of a few bytes
 *   write SOURCE BLOCKS                 the file for `copy`
 *   dd FILE BLOCKS                      what the disk takes: dd, past the page cache
 *   idle MS                             an event loop that has nothing to do for so long
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { safeOpen, saveFile, type TensorLike, type TensorsLike } from 'safetensors-mmap';
import { BLOCK_BYTES, blockModel } from '../models/blocks.ts';
import { deepSeekV3 } from '../models/deepseek-v3.ts';
import { checksumOfFile } from './checksums.ts';
import { collectGarbage } from './heap.ts';
import { costOf } from './memory.ts';
import type { SaveResult } from './results.ts';

async function save(tensors: TensorsLike, path: string, mode: string): Promise<SaveResult> {
  // What making the tensors left behind is not what saving them costs.
  collectGarbage();
  const cost = await costOf(() => saveFile(tensors, path, { fsync: mode === 'durable' }));
  const checksum = await checksumOfFile(path);
  rmSync(path);
  return { ...cost, checksum };
}

async function copy(path: string, source: string, mode: string): Promise<SaveResult> {
  using file = await safeOpen(source);
  return await save(file, path, mode);
}

/** Names as DeepSeek-V3 has them, 91,985 in all; of each tensor one element. */
function smallTensors(count: number): Map<string, TensorLike> {
  const tensors = new Map<string, TensorLike>();
  for (const { name, shape } of deepSeekV3()) {
    if (tensors.size === count) break;
    const data = Float32Array.of(tensors.size);
    tensors.set(name, { dtype: 'F32', shape: shape.map(() => 1), data });
  }
  return tensors;
}

async function write(path: string, blocks: number): Promise<object> {
  await saveFile(blockModel(blocks), path);
  return {};
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

const [task, path, argument, mode] = process.argv.slice(2);
const tasks: Record<string, () => object | Promise<object>> = {
  save: () => save(blockModel(Number(argument)), path, mode),
  copy: () => copy(path, argument, mode),
  tensors: () => save(smallTensors(Number(argument)), path, mode),
  write: () => write(path, Number(argument)),
  dd: () => dd(path, Number(argument)),
  idle: () => costOf(() => setTimeout(Number(path))),
};
console.log(JSON.stringify(await tasks[task]()));
