import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type SafetensorsFile, type SliceRange, safeOpenSync, saveFile } from '../src/index.ts';
import { runChild } from './support/child.ts';
import { evict } from './support/page-cache.ts';
import { modelSlice } from './support/slices.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();

/** More than the disk's read-ahead, so that one fault too many shows. */
const SHAPE = [512, 64 * 1024];
const [ROWS, COLUMNS] = SHAPE;
const ELEMENT_BYTES = 2;

/** How much more may be read than must be. */
const MOST = 1.05;

const path = join(folder, 'cold.safetensors');
const data = new Uint16Array(ROWS * COLUMNS);
for (let i = 0; i < data.length; i++) data[i] = (i * 7) ^ (i >>> 16);
await saveFile({ x: { dtype: 'U16', shape: SHAPE, data } }, path);

const whyNot = await reasonAgainst();
if (whyNot !== undefined)
  console.warn(`LEFT OUT: pages that slices of a cold file read: ${whyNot}`);

/** Why the pages of a file that are in memory cannot be counted here. */
async function reasonAgainst(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'evicting a file needs Linux';
  evict(path);
  using file = safeOpenSync(path);
  const { residentBytes, byteLength } = await file.residency();
  if (residentBytes < byteLength / 4) return undefined;
  return `${residentBytes} of ${byteLength} bytes stay in memory: the file system of ${folder} evicts nothing`;
}

let opened: SafetensorsFile | undefined;
afterEach(() => opened?.close());

function openCold(): SafetensorsFile {
  evict(path);
  opened = safeOpenSync(path);
  return opened;
}

const PAGE_BYTES = Number(execFileSync('getconf', ['PAGESIZE'], { encoding: 'utf8' }));

/** Bytes of the pages that a slice lies in. */
function bytesOfPages(dataStart: number, ranges: readonly SliceRange[]): number {
  const model = modelSlice(SHAPE, ranges);
  if (model === 'out of range') throw new Error('no such slice');
  const pages = new Set<number>();
  for (const element of model.elements) {
    pages.add(Math.floor((dataStart + element * ELEMENT_BYTES) / PAGE_BYTES));
  }
  return pages.size * PAGE_BYTES;
}

const SLICES: Record<string, SliceRange[]> = {
  'an eighth of the columns': [null, [1000, 9192]],
  'a few columns': [null, [-100, null]],
  'one column': [null, 12345],
  'some columns of every third row': [
    [1, null, 3],
    [40000, 48000],
  ],
  'columns, backwards': [
    [null, null, -1],
    [5000, 9000],
  ],
  'every other element of a column': [null, [20000, 30000, 2]],
  'columns that are pages apart': [
    [0, 400],
    [null, null, 4096],
  ],
};

describe.runIf(whyNot === undefined)('of a cold file, no more is read than must be', () => {
  for (const way of ['slice', 'sliceAsync'] as const) {
    it.each(Object.entries(SLICES))(`${way}: %s`, async (_, ranges) => {
      const file = openCold();
      const tensor = file.getTensor('x');
      const before = (await file.residency()).residentBytes;
      const slice = way === 'slice' ? tensor.slice(...ranges) : await tensor.sliceAsync(ranges);
      const read = (await file.residency()).residentBytes - before;
      const needed = bytesOfPages(file.byteLength - tensor.byteLength, ranges);
      expect(slice.zeroCopy).toBe(false);
      expect(read).toBeLessThanOrEqual(MOST * needed);
      expect(read).toBeGreaterThanOrEqual(needed - before - PAGE_BYTES);
      const model = modelSlice(SHAPE, ranges);
      if (model === 'out of range') throw new Error('no such slice');
      expect(slice.data.length).toBe(model.elements.length);
      const wrong = model.elements.findIndex((element, i) => slice.data[i] !== data[element]);
      expect(wrong, 'first wrong element').toBe(-1);
    });
  }

  it('a page fault does read more: what is counted is there to be counted', async () => {
    const file = openCold();
    const tensor = file.getTensor('x');
    const before = (await file.residency()).residentBytes;
    const middle = tensor.data[data.length / 2];
    expect(middle).toBe(data[data.length / 2]);
    const read = (await file.residency()).residentBytes - before;
    expect(read).toBeGreaterThan(MOST * PAGE_BYTES);
  });
});

it.each(['sync', 'async'])(
  'a file that was cut short is FILE_CHANGED, and not the end of the process: %s',
  async (way) => {
    const target = join(folder, `cut-${way}.safetensors`);
    await saveFile({ x: { dtype: 'U16', shape: SHAPE, data } }, target);
    const { code, signal, stdout, stderr } = await runChild('slice-of-cut-file', [target, way]);
    expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({ code: 'ERR_SAFETENSORS_FILE_CHANGED', tensor: 'x' });
  },
);
