/**
 * Opens a file, makes a view of each tensor, and prints what that took, as JSON.
 *
 *   ours FILE OPENS        safeOpenSync, so many times
 *   read-file FILE OPENS   fs.readFile and views; above its limit of 2 GiB, positioned reads of each tensor
 */
import { safeOpenSync } from 'safetensors-mmap';
import { isReadable, readTensors, readWhole, viewsOf } from './read-file.ts';
import type { SizesResult } from './results.ts';

interface Times {
  open: number;
  views: number;
  checksum: string;
}

function checksumOf(views: readonly ArrayBufferView[]): string {
  const last = views[views.length - 1];
  return `${views.length} ${new Uint32Array(last.buffer, last.byteOffset, 1)[0]}`;
}

function ours(path: string): Times {
  const start = performance.now();
  const file = safeOpenSync(path);
  const opened = performance.now();
  const views = file.offsetKeys().map((name) => file.getTensor(name).data);
  const viewed = performance.now();
  const checksum = checksumOf(views);
  file.close();
  return { open: opened - start, views: viewed - start, checksum };
}

async function readFile(path: string): Promise<Times> {
  const start = performance.now();
  if (!(await isReadable(path))) {
    const views = await readTensors(path);
    const time = performance.now() - start;
    return { open: time, views: time, checksum: checksumOf(views) };
  }
  const bytes = await readWhole(path);
  const open = performance.now() - start;
  const views = [...viewsOf(bytes).values()];
  return { open, views: performance.now() - start, checksum: checksumOf(views) };
}

const [task, path, opens] = process.argv.slice(2);
const tasks: Record<string, () => Times | Promise<Times>> = {
  ours: () => ours(path),
  'read-file': () => readFile(path),
};
const times: Times[] = [];
for (let i = 0; i < Number(opens); i++) times.push(await tasks[task]());
const [first, ...others] = times;
const middle = (of: (times: Times) => number) => {
  const sorted = (others.length > 0 ? others : times).map(of).toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
};
const result: SizesResult = {
  first: first.open,
  further: middle(({ open }) => open),
  firstViews: first.views,
  furtherViews: middle(({ views }) => views),
  checksum: first.checksum,
};
console.log(JSON.stringify(result));
