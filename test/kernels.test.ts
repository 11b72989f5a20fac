import { describe, expect, it } from 'vitest';
import { childReport, runChild } from './support/child.ts';

const VARIABLE = 'SAFETENSORS_MMAP_KERNELS';

function runWith(kernels: string) {
  return runChild('every-kernel', [], { env: { [VARIABLE]: kernels } });
}

/** The sets that this machine can run, as the error for an unknown one lists them. */
async function availableSets(): Promise<string[]> {
  const { code, stderr } = await runWith('nonsense');
  expect(code).toBe(1);
  const [, sets, found] =
    /RangeError: SAFETENSORS_MMAP_KERNELS: expected kernels .*\((.*)\), found '(.*)'/.exec(
      stderr,
    ) ?? [];
  expect(found).toBe('nonsense');
  return sets.split(', ');
}

describe('kernels', async () => {
  const sets = await availableSets();
  const vectors = sets.filter((name) => name !== 'scalar');
  const report = (kernels: string) =>
    childReport<Record<string, string>>('every-kernel', [], { env: { [VARIABLE]: kernels } });
  const scalar = report('scalar');

  it('are scalar ones everywhere, and more on the processors that most have', () => {
    expect(sets.at(-1)).toBe('scalar');
    if (process.arch === 'arm64') expect(vectors).toContain('neon');
    const possible = process.arch === 'arm64' ? ['neon'] : ['avx512', 'avx2'];
    const lacking = possible.filter((name) => !vectors.includes(name));
    if (lacking.length > 0) {
      console.warn(`LEFT OUT: kernels that this processor cannot run: ${lacking.join(', ')}`);
    }
  });

  it.each([...vectors, ''])('%j are scalar ones, bit for bit', async (name) => {
    const expected = await scalar;
    expect(Object.keys(expected).length).toBe(34);
    expect(await report(name)).toEqual(expected);
  });

  it('that this processor or this build does not have are an error', async () => {
    const missing = ['avx2', 'avx512', 'neon', 'AVX2'].filter((name) => !sets.includes(name));
    expect(missing.length).toBeGreaterThan(1);
    for (const name of missing) {
      const { code, stderr } = await runWith(name);
      expect(code).toBe(1);
      expect(stderr).toContain(`found '${name}'`);
    }
  });
});
