/**
 * Reads all of a file's tensors, touches every page of them, and prints what that took, as JSON.
 *
 *   prefetch FILE          this package, prefetch()
 *   fault FILE             this package, page by page as they are touched
 *   buffered FILE          the file read into the page cache, four lanes at once, then mapped by prefetch()
 *   read-file FILE         fs.readFile and views; above its limit of 2 GiB, positioned reads of each tensor
 *   jax-loaders FILE       fs.readFile and @jax-js/loaders
 *   npm-safetensors FILE   fs.readFile and the package safetensors of npm
 */
import { createRequire } from 'node:module';
import { safetensors as jaxSafetensors } from '@jax-js/loaders';
import { safeOpen } from 'safetensors-mmap';
import { readInLanes } from './lanes.ts';
import { isReadable, readTensors, readWhole, viewsOf } from './read-file.ts';
import type { TouchResult } from './results.ts';
import { touch, wordsOf } from './touch-words.ts';

/** It comes without types; its tensors are bytes. */
interface NpmSafetensors {
  SafeTensor: new (
    bytes: Uint8Array,
  ) => { metadata: Map<string, unknown>; getTensor(name: string): Uint8Array };
}

const { SafeTensor } = createRequire(import.meta.url)('safetensors') as NpmSafetensors;

/** The tensors of a file, as 32-bit words. */
type Words = Iterable<Uint32Array>;

async function ours(path: string, prefetch: boolean): Promise<Words> {
  const file = await safeOpen(path);
  if (prefetch) await file.prefetch();
  return Array.from(file, ([, { data }]) => wordsOf(data));
}

/** What prefetch() might do instead: all that is left to it here is to map pages that are in memory. */
async function buffered(path: string): Promise<Words> {
  await readInLanes(path);
  return ours(path, true);
}

async function readFile(path: string): Promise<Words> {
  if (!(await isReadable(path))) return readTensors(path);
  return [...viewsOf(await readWhole(path)).values()];
}

async function jaxLoaders(path: string): Promise<Words> {
  const { tensors } = jaxSafetensors.parse(await readWhole(path));
  return Object.values(tensors).map(({ data }) => wordsOf(data));
}

async function npmSafetensors(path: string): Promise<Words> {
  const file = new SafeTensor(await readWhole(path));
  return Array.from(file.metadata.keys(), (name) => wordsOf(file.getTensor(name)));
}

async function run(read: () => Promise<Words>): Promise<TouchResult> {
  const start = performance.now();
  const tensors = [...(await read())];
  const ready = performance.now();
  let sum = 0;
  for (const words of tensors) sum = (sum + touch(words)) | 0;
  const end = performance.now();
  return {
    ready: ready - start,
    time: end - start,
    checksum: `${tensors.length} ${sum >>> 0}`,
  };
}

const [task, path] = process.argv.slice(2);
const tasks: Record<string, () => Promise<Words>> = {
  prefetch: () => ours(path, true),
  fault: () => ours(path, false),
  buffered: () => buffered(path),
  'read-file': () => readFile(path),
  'jax-loaders': () => jaxLoaders(path),
  'npm-safetensors': () => npmSafetensors(path),
};
console.log(JSON.stringify(await run(tasks[task])));
