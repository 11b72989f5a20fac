import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { runCommand } from '../support/child.ts';
import { temporaryFolder } from '../support/temporary.ts';

const program = fileURLToPath(
  new URL('../../examples/model-server/out/model-server/load-test/main.js', import.meta.url),
);

/** On a machine that has other things to do too. */
const PATIENCE_MS = 120_000;
/** Of a `wide` model: the table of words alone. */
const WEIGHTS = 250_000 * 64 * 4;

interface Phase {
  throughput: number;
  p99: number;
  requests: number;
  failed: number;
}

interface Round {
  ready: number;
  readyCold: number;
  swaps: number[];
  before: Phase;
  during: Phase;
  after: Phase;
  memory: { pss: number; anonymous: number };
}

it.runIf(process.platform === 'linux')(
  'under load swaps fail no request, and workers share one copy of the weights',
  async () => {
    const workers = 2;
    const args = ['--size', 'wide', '--seconds', '2', '--rounds', '1', '--json'];
    const { code, stdout, stderr } = await runCommand(
      process.execPath,
      [program, ...args, '--workers', String(workers)],
      {
        timeoutMs: PATIENCE_MS,
        env: { ...process.env, SAFETENSORS_MMAP_CACHE: join(temporaryFolder(), 'cache') },
      },
    );
    expect(code, stderr).toBe(0);
    const { results }: { results: Record<'mmap' | 'readFile', Round[]> } = JSON.parse(stdout);
    const rounds = [...results.mmap, ...results.readFile];
    expect(rounds.length).toBe(2);
    for (const { before, during, after, swaps, ready, readyCold } of rounds) {
      for (const phase of [before, during, after]) {
        expect(phase.failed).toBe(0);
        expect(phase.requests).toBeGreaterThan(0);
        expect(phase.throughput).toBeGreaterThan(0);
        expect(phase.p99).toBeGreaterThan(0);
      }
      expect(swaps.length).toBeGreaterThan(0);
      for (const seconds of [...swaps, ready, readyCold]) expect(seconds).toBeGreaterThan(0);
    }
    const [mapped, read] = [results.mmap[0].memory, results.readFile[0].memory];
    expect(read.anonymous).toBeGreaterThan(workers * WEIGHTS);
    // One copy for all, and none of their own; the heap of JavaScript differs by some.
    const difference = read.anonymous - mapped.anonymous;
    expect(difference).toBeGreaterThan((workers - 0.7) * WEIGHTS);
    expect(read.pss - mapped.pss).toBeGreaterThan((workers - 1.7) * WEIGHTS);
  },
  PATIENCE_MS,
);
