/**
 * Opens a file on a disk, of which then only the beginning can be read any more; prints what views show of
 * pages that were in memory before, and of others, and how calls end.
 */
import { readFileSync, truncateSync } from 'node:fs';
import { type SafetensorsError, safeOpenSync } from 'safetensors-mmap';

const [path, disk, diskBytes, guard = 'on'] = process.argv.slice(2);
const MEGABYTE = 2 ** 20;

const file = safeOpenSync(path, { faultGuard: guard === 'on' });
const tensor = file.getTensor('x');
const values = tensor.data as Uint8Array;
// The disk keeps some of the pages behind those that fail only for as long as they are in memory.
const before = [20 * MEGABYTE, 30 * MEGABYTE];
const read = (places: number[]) => places.map((at) => values[at]);
read(before);
truncateSync(disk, Number(diskBytes));
const lost = [12, 14, 16, 18, 22, 24].map((at) => at * MEGABYTE);
const shown = { lost: read(lost), before: read(before) };

const ends: Record<string, string> = {};
const attempts = { check: () => file.check(), decode: () => tensor.toFloat32() };
for (const [what, attempt] of Object.entries(attempts)) {
  try {
    attempt();
    ends[what] = 'done';
  } catch (error) {
    ends[what] = (error as SafetensorsError).code ?? String(error);
  }
}
const maps = readFileSync('/proc/self/maps', 'utf8').split('\n');
const mappings = maps.filter((line) => line.includes(path)).length;
console.log(JSON.stringify({ ...shown, ends, mappings }));
