import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { childReport, runChild } from './support/child.ts';
import { rounds } from './support/rounds.ts';
import { temporaryFolder } from './support/temporary.ts';

/** Child processes, because what is tested is that they do not end. */

const folder = temporaryFolder();

const CHANGED = 'ERR_SAFETENSORS_FILE_CHANGED';

type Outcomes = Record<string, number>;

const flagsOf = (way: string): string[] => {
  if (way === 'interpreted') return ['--jitless'];
  return way === 'optimised' ? ['--allow-natives-syntax'] : [];
};

describe('a file that is cut short', () => {
  const ROUNDS = rounds(1000);

  const VIEWS = [
    'interpreted',
    'optimised',
    'backwards',
    'slice',
    'set',
    'buffer',
    'concat',
    'write',
  ];
  it.each(VIEWS)(
    'may be touched after that, and says so: %s',
    async (way) => {
      const path = join(folder, way);
      const flags = { nodeFlags: flagsOf(way), timeoutMs: 120_000 };
      const outcomes = await childReport<Outcomes>('lost-pages', [path, way, `${ROUNDS}`], flags);
      // Of check(), and of a call that reads.
      expect(outcomes).toEqual({ [CHANGED]: 2 * ROUNDS });
      const { signal } = await runChild('lost-pages', [path, way, `${ROUNDS}`, 'off'], flags);
      expect(signal).toBe('SIGBUS');
    },
    240_000,
  );

  const CALLS = ['decode', 'decodeAsync', 'blocks', 'encode', 'gather', 'gatherAsync', 'serialize'];
  /** The system reads for those, and raises no signal. */
  const SYSTEM_CALLS = ['prefetch', 'save', 'saveViews'];
  it.each([...CALLS, ...SYSTEM_CALLS])(
    'is FILE_CHANGED to what reads it meanwhile, or was read in time: %s',
    async (way) => {
      const path = join(folder, way);
      const options = { timeoutMs: 120_000 };
      const { done = 0, ...outcomes } = await childReport<Outcomes>(
        'cut-while-reading',
        [path, way, `${ROUNDS}`],
        options,
      );
      expect(outcomes).toEqual({ [CHANGED]: ROUNDS - done });
      if (SYSTEM_CALLS.includes(way)) return;
      const { signal } = await runChild('cut-while-reading', [path, way, '1000', 'off'], options);
      expect(signal).toBe('SIGBUS');
    },
    240_000,
  );
});

describe.runIf(process.platform === 'linux')('the handler of SIGBUS', () => {
  const newFolder = () => mkdtempSync(join(folder, 'handlers-'));

  it.each<[string, unknown]>([
    ['not guarded', { before: false, after: false }],
    ['guarded', { before: false, after: true }],
    ['a listener, and check()', { survived: true, heard: 1 }],
    ['a listener, and another file', { survived: true, heard: 1 }],
    ['a listener before', { survived: true, heard: 1 }],
    ['a listener that has gone', { survived: true, caught: true }],
    ['two copies', new Array(8).fill(true)],
    ['two copies and a listener', { heard: 1 }],
  ])('%s', async (way, expected) => {
    expect(await childReport('sigbus-handlers', [newFolder(), way])).toEqual(expected);
  });

  it.each([
    'sent',
    'fault elsewhere',
    'two copies, sent',
    'two copies, fault elsewhere',
    'a worker that has gone',
  ])('ends the process as ever: %s', async (way) => {
    const { signal, stdout, stderr } = await runChild('sigbus-handlers', [newFolder(), way]);
    expect({ signal, stdout, stderr }).toEqual({ signal: 'SIGBUS', stdout: '', stderr: '' });
  });
});
