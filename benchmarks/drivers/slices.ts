/**
 * Takes columns of the tensor `x` of a file and prints what that cost, as JSON.
 *
 *   slice FILE FIRST LAST TIMES         tensor.slice, once and again
 *   slice-async FILE FIRST LAST TIMES   tensor.sliceAsync
 *   whole FILE                          the peer: the whole file, front to back, into a buffer
 *   write FILE ROWS COLUMNS             makes the file: U16
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { createWriter, type SliceRange, safeOpenSync } from 'safetensors-mmap';
import type { SliceResult } from './results.ts';

const PIECE_BYTES = 8 * 2 ** 20;

async function slices(
  path: string,
  [first, last, times]: number[],
  isAsync: boolean,
): Promise<SliceResult> {
  const tensor = safeOpenSync(path).getTensor('x');
  const ranges: SliceRange[] = [null, [first, last]];
  const measured: number[] = [];
  let bytes: Uint8Array = new Uint8Array(0);
  for (let i = 0; i < times; i++) {
    const start = performance.now();
    const slice = isAsync ? await tensor.sliceAsync(ranges) : tensor.slice(...ranges);
    measured.push(performance.now() - start);
    bytes = slice.bytes;
  }
  const checksum = createHash('sha256').update(bytes).digest('hex');
  return { first: measured[0], further: measured.slice(1), checksum };
}

function whole(path: string): SliceResult {
  const descriptor = openSync(path, 'r');
  const { size } = fstatSync(descriptor);
  const target = Buffer.alloc(PIECE_BYTES, 1);
  const start = performance.now();
  let read = 0;
  while (read < size) read += readSync(descriptor, target, 0, PIECE_BYTES, null);
  const first = performance.now() - start;
  closeSync(descriptor);
  return { first, further: [], checksum: `${read}` };
}

async function write(path: string, rows: number, columns: number): Promise<object> {
  const writer = await createWriter(path, { x: { dtype: 'U16', shape: [rows, columns] } });
  const rowsAtOnce = Math.max(1, Math.floor(PIECE_BYTES / (2 * columns)));
  for (let row = 0; row < rows; row += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - row);
    // Bytes that no file system compresses well.
    const data = new Uint16Array(count * columns);
    for (let i = 0; i < data.length; i++) {
      data[i] = Math.imul(row * columns + i, 2654435761) >>> 16;
    }
    await writer.write('x', data);
  }
  await writer.finish();
  return {};
}

const [task, path, ...rest] = process.argv.slice(2);
const numbers = rest.map(Number);
const tasks: Record<string, () => object | Promise<object>> = {
  slice: () => slices(path, numbers, false),
  'slice-async': () => slices(path, numbers, true),
  whole: () => whole(path),
  write: () => write(path, numbers[0], numbers[1]),
};
console.log(JSON.stringify(await tasks[task]()));
