import { join } from 'node:path';
import { expect, it } from 'vitest';
import { childReport } from './support/child.ts';
import { rounds } from './support/rounds.ts';
import { temporaryFolder } from './support/temporary.ts';

it('no arguments that the addon is called with end the process, or read what is not there', async () => {
  const seed = `${Date.now() % 2 ** 31}`;
  const times = rounds(1000);
  const path = join(temporaryFolder(), 'file');
  const report = await childReport<Record<string, { calls: number; done: number }>>(
    'native-calls',
    [path, `${times}`, seed],
    { timeoutMs: 200_000 },
  );
  // All that there are: the child fails of one that it does not know.
  expect(Object.keys(report)).toEqual(
    expect.arrayContaining(['open', 'gather', 'decodeTilesAsync']),
  );
  expect(Object.values(report).every(({ calls }) => calls === times)).toBe(true);
}, 240_000);
