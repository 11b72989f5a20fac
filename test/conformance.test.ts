import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type Container,
  deserialize,
  type OpenOptions,
  safeOpen,
  safeOpenSync,
} from '../src/index.ts';
import { thrownBy } from './support/errors.ts';
import { fileMaker } from './support/temporary.ts';

/** One file, what the reference said of it, and what this package must do. */
interface Case {
  name: string;
  base64: string;
  reference: { ok: boolean; message?: string };
  expect: {
    ok: boolean;
    codes?: string[];
    /** Where this package is stricter than the reference, by choice. */
    stricter?: string;
    tensors?: ExpectedTensor[];
  };
}

interface ExpectedTensor {
  name: string;
  dtype: string;
  /** Only its length where it is very long. */
  shape: number[] | number;
  sha256: string;
}

const cases: Case[] = JSON.parse(
  readFileSync(new URL('./fixtures/cases.json', import.meta.url), 'utf8'),
);

function describeTensors(container: Container, expected: readonly ExpectedTensor[]) {
  const summarised = new Set(
    expected.filter(({ shape }) => typeof shape === 'number').map(({ name }) => name),
  );
  const tensors = [...container].map(([name, { dtype, shape, bytes }]) => ({
    name,
    dtype,
    shape: summarised.has(name) ? shape.length : shape,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  }));
  return sortedByName(tensors);
}

function sortedByName<T extends { name: string }>(tensors: readonly T[]): T[] {
  return tensors.toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
}

const makeFile = fileMaker();

const ways: Record<string, (bytes: Buffer, options?: OpenOptions) => Promise<Container>> = {
  deserialize: async (bytes, options) => deserialize(bytes, options),
  safeOpen: (bytes, options) => safeOpen(makeFile(bytes), options),
  safeOpenSync: async (bytes, options) => safeOpenSync(makeFile(bytes), options),
};

it('has all 177 cases', () => {
  expect(cases.length).toBe(177);
});

describe.each(Object.entries(ways))('%s', (_, open) => {
  it.each(cases)('$name', async ({ base64, expect: expected }) => {
    const bytes = Buffer.from(base64, 'base64');
    if (expected.ok) {
      using container = await open(bytes);
      const tensors = expected.tensors ?? [];
      expect(describeTensors(container, tensors)).toEqual(sortedByName(tensors));
    } else {
      const error = await thrownBy(() => open(bytes));
      expect(expected.codes).toContain(error.code);
    }
  });

  const duplicates = cases.filter(
    ({ reference, expect: { codes } }) =>
      reference.ok && codes?.includes('ERR_SAFETENSORS_DUPLICATE_KEY'),
  );
  it.each(duplicates)("duplicates: 'last-wins' opens: $name", async ({ base64 }) => {
    using container = await open(Buffer.from(base64, 'base64'), { duplicates: 'last-wins' });
    const names = container.keys();
    expect(names.length).toBeGreaterThan(0);
    expect(new Set(names).size).toBe(names.length);
  });
});
