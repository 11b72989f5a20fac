import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Outcomes } from './children/convert-each.ts';
import { childReport } from './support/child.ts';
import { python, runPython, withoutPython } from './support/python.ts';
import { temporaryFolder } from './support/temporary.ts';

interface Attack {
  name: string;
  file: string;
  verdict: 'safe' | 'unknown' | 'dangerous';
  /** Of the conversion; `null` where there is nothing to refuse. */
  code: string | null;
  /** Of one that skips what is unknown. */
  skipping: string | null;
  says: string;
}

/** Of all of them, one after another, in a heap of half as much. */
const MOST_BYTES = 2 ** 31;
const HEAP_MEGABYTES = 1024;

const folder = temporaryFolder();
const canary = join(folder, 'CANARY');

describe('malicious and malformed checkpoints', () => {
  beforeEach(withoutPython('malicious checkpoints'));

  it('are refused, named, and not run', { timeout: 900_000 }, async () => {
    const attacks: Attack[] = JSON.parse(runPython('make_malicious.py', folder, canary));
    expect(attacks.length).toBeGreaterThan(150);
    expect(existsSync(canary)).toBe(false);

    const list = join(folder, 'list.json');
    const outputs = join(folder, 'outputs');
    mkdirSync(outputs);
    writeFileSync(list, JSON.stringify(attacks.map(({ file }) => file)));
    const { outcomes, peakBytes } = await childReport<Outcomes>('convert-each', [list, outputs], {
      nodeFlags: [`--max-old-space-size=${HEAP_MEGABYTES}`],
      timeoutMs: 840_000,
    });
    expect(existsSync(canary), 'nothing has run').toBe(false);
    expect(outcomes.length).toBe(attacks.length);

    const found = attacks.map(({ name, says }, i) => {
      const { verdict, code, skipping, scan, message } = outcomes[i];
      const quoted = JSON.stringify(says).slice(1, -1);
      const said = verdict === 'safe' && code !== null ? JSON.stringify(message) : scan;
      const isNamed = said.includes(quoted) && (code !== 'UNSAFE_PICKLE' || nameOf(message));
      return { name, verdict, code, skipping, says: isNamed ? says : `${message} ${scan}` };
    });
    expect(found).toEqual(
      attacks.map(({ name, verdict, code, skipping, says }) => {
        return { name, verdict, code, skipping, says };
      }),
    );
    expect(peakBytes).toBeLessThan(MOST_BYTES);
  });

  it('are attacks: Python runs what they hold', () => {
    const attacks: Attack[] = JSON.parse(runPython('make_malicious.py', folder, canary));
    const unpickle = 'import pickle, sys; pickle.load(open(sys.argv[1], "rb"))';
    for (const name of ['classic-reduce', 'classic-protocol-0', 'classic-protocol-4']) {
      rmSync(canary, { force: true });
      const attack = attacks.find((other) => other.name === name);
      execFileSync(python.path, ['-c', unpickle, `${attack?.file}`]);
      expect(existsSync(canary), name).toBe(true);
    }
    rmSync(canary);
  });
});

/** A refusal says that nothing was done. */
function nameOf(message: string): boolean {
  return /was not (run|called)|which is a program/.test(message);
}
