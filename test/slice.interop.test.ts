import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Dtype, type SliceRange, safeOpenSync, saveFile } from '../src/index.ts';
import { patternBytes, tensorBytes } from './support/build.ts';
import { python, runPython, runSeed, withoutPython } from './support/python.ts';
import { anyRanges } from './support/slices.ts';
import { temporaryFolder } from './support/temporary.ts';

/** Those that both numpy and the reference's get_slice for numpy have. */
const DTYPES: Dtype[] = [
  'BOOL',
  'U8',
  'I8',
  'I16',
  'U16',
  'F16',
  'BF16',
  'I32',
  'U32',
  'F32',
  'C64',
  'F64',
  'I64',
  'U64',
];
const SHAPES = [[], [7], [1], [0], [4, 6], [3, 1, 5], [2, 3, 4], [5, 0, 2], [2, 3, 2, 4]];
const CASES = 600;

type Taken = { shape: number[]; sha256: string } | { error: string };

function takenHere(slice: () => { shape: readonly number[]; bytes: Uint8Array }): Taken {
  try {
    const { shape, bytes } = slice();
    return { shape: [...shape], sha256: createHash('sha256').update(bytes).digest('hex') };
  } catch (error) {
    return { error: String(error) };
  }
}

describe('a live Python', () => {
  it('is there', withoutPython('test/slice.interop.test.ts'));

  it.skipIf(python.problem !== undefined)('slices as is done here', async () => {
    const seed = runSeed();
    const folder = temporaryFolder();
    const path = join(folder, 'model.safetensors');
    const tensors = DTYPES.flatMap((dtype) =>
      SHAPES.map((shape) => {
        const data = patternBytes(tensorBytes(dtype, shape), shape.length + dtype.length);
        // A bool of numpy is 0 or 1.
        if (dtype === 'BOOL') for (let i = 0; i < data.length; i++) data[i] &= 1;
        return [`${dtype} ${shape}`, { dtype, shape, data }] as const;
      }),
    );
    await saveFile(tensors, path);
    const anyCase = fc.constantFrom(...tensors).chain(([name, { shape }]) =>
      anyRanges(shape).map((ranges): { name: string; ranges: SliceRange[] } => ({
        name,
        ranges,
      })),
    );
    const cases = fc.sample(anyCase, { seed, numRuns: CASES });
    const list = join(folder, 'cases.json');
    writeFileSync(list, JSON.stringify(cases));

    using file = safeOpenSync(path);
    const counts = { taken: 0, refused: 0, reference: 0 };
    const lines = runPython('slice_all.py', path, list).trim().split('\n');
    expect(lines.length).toBe(CASES);
    for (const [i, line] of lines.entries()) {
      const { name, ranges } = cases[i];
      const theirs: { numpy: Taken; reference: Taken } = JSON.parse(line);
      const ours = takenHere(() => file.getSlice(name, ...ranges));
      const what = `${name} ${JSON.stringify(ranges)}: ${JSON.stringify([ours, theirs])}`;
      if ('error' in theirs.numpy) {
        counts.refused++;
        expect(theirs.numpy.error, what).toMatch(/^IndexError/);
        expect('error' in ours && ours.error, what).toMatch(/^SafetensorsError/);
        continue;
      }
      counts.taken++;
      expect(ours, what).toEqual(theirs.numpy);
      // The reference has neither steps nor all that numpy has; what it takes, it takes alike.
      if ('error' in theirs.reference) continue;
      counts.reference++;
      expect(ours, what).toEqual(theirs.reference);
    }
    expect(counts.taken).toBeGreaterThan(CASES / 3);
    expect(counts.refused).toBeGreaterThan(CASES / 50);
    expect(counts.reference).toBeGreaterThan(CASES / 10);
  });
});
