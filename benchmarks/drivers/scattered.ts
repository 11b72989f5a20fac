/**
 * Reads some tensors of a file, touches every page of them, and prints what that took, as JSON.
 *
 *   prefetch FILE NAMES   with prefetch(names); NAMES is a file with a JSON array
 *   fault FILE NAMES      page by page as they are touched
 */
import { readFileSync } from 'node:fs';
import { safeOpenSync } from 'safetensors-mmap';
import type { TouchResult } from './results.ts';
import { touch } from './touch-words.ts';

const [task, path, namesPath] = process.argv.slice(2);
const names = JSON.parse(readFileSync(namesPath, 'utf8')) as string[];
const file = safeOpenSync(path);
const start = performance.now();
if (task === 'prefetch') await file.prefetch(names);
const ready = performance.now();
let sum = 0;
for (const name of names) sum = (sum + touch(file.getTensor(name).data)) | 0;
const end = performance.now();
const result: TouchResult = {
  ready: ready - start,
  time: end - start,
  checksum: `${names.length} ${sum >>> 0}`,
};
console.log(JSON.stringify(result));
