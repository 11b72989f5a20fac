/**
 * Opens a file beside a JavaScript heap of 200 MB, makes a view of each tensor, and prints which garbage
 * collections that caused, as JSON.
 *
 *   ours FILE        this package
 *   read-file FILE   fs.readFile and views
 */
import { setImmediate } from 'node:timers/promises';
import { safeOpen } from 'safetensors-mmap';
import { checksumOfViews } from './checksums.ts';
import { CollectionObserver } from './collections.ts';
import { collectGarbage, fillHeap } from './heap.ts';
import { readWhole, viewsOf } from './read-file.ts';
import type { GcResult } from './results.ts';

const HEAP_MB = 200;

const [task, path] = process.argv.slice(2);
const tasks: Record<string, () => Promise<ArrayBufferView[]>> = {
  ours: async () => Array.from(await safeOpen(path), ([, { data }]) => data),
  'read-file': async () => [...viewsOf(await readWhole(path)).values()],
};
const observer = new CollectionObserver();
const heap = fillHeap(HEAP_MB);
// What the filling left to collect is not what is counted.
collectGarbage();
await setImmediate();
const start = performance.now();
const views = await tasks[task]();
const end = performance.now();
const result: GcResult = {
  ...(await observer.between(start, end)),
  time: end - start,
  checksum: `${checksumOfViews(views)} ${heap.length > 0}`,
};
console.log(JSON.stringify(result));
