import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { python, runPython, withoutPython } from './support/python.ts';

/** Every value by its path, but the versions of the libraries. */
function leaves(value: unknown, path = ''): Map<string, unknown> {
  if (typeof value !== 'object' || value === null) return new Map([[path, value]]);
  const entries = Object.entries(value).filter(([key]) => !/^(ml_dtypes|numpy)$/.test(key));
  return new Map(entries.flatMap(([key, inner]) => [...leaves(inner, `${path}/${key}`)]));
}

describe('a live Python', () => {
  it('is there', withoutPython('test/decode.interop.test.ts'));

  describe.skipIf(python.problem !== undefined)('with numpy and ml_dtypes', () => {
    it.each([
      ['number_formats.py', 'number-formats.json'],
      ['block_scaled.py', 'block-scaled.json'],
    ])('%s says what the fixtures say', (script, file) => {
      const fixture = new URL(`./fixtures/${file}`, import.meta.url);
      const then = leaves(JSON.parse(readFileSync(fixture, 'utf8')));
      const now = leaves(JSON.parse(runPython(script)));
      // Names only: the values are long.
      expect([...now.keys()]).toEqual([...then.keys()]);
      expect([...now.keys()].filter((name) => now.get(name) !== then.get(name))).toEqual([]);
    });
  });
});
