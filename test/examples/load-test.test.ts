import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { isBusy, loadText, parseOptions } from '../../examples/model-server/load-test/options.ts';
import { loadWhileSwapping } from '../../examples/model-server/load-test/phases.ts';
import { runCommand } from '../support/child.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { writeModel } from './support/model-server.ts';

const program = fileURLToPath(
  new URL('../../examples/model-server/out/model-server/load-test/main.js', import.meta.url),
);

/** On a machine that has other things to do too. */
const PATIENCE_MS = 240_000;
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
    // Whatever else the machine does, no request fails.
    const args = ['--busy', '--size', 'wide', '--seconds', '2', '--rounds', '1', '--json'];
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

it('a swap that is refused is told when the load is over, and leaves no rejection to nobody', async () => {
  const server = createServer((_, response) => response.end('{}')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const { port } = server.address() as AddressInfo;
    const refusing = {
      url: `http://127.0.0.1:${port}`,
      swap: () => Promise.reject(new Error('a swap was refused')),
    };
    const loading = loadWhileSwapping(refusing, ['a', 'b'], 1, 1000);
    await expect(loading).rejects.toThrow('a swap was refused');
  } finally {
    server.close();
  }
});

it.runIf(process.platform === 'linux')(
  'a model that is refused in a swap ends the load test, and its server',
  async () => {
    const cache = join(temporaryFolder(), 'cache');
    const models = [1, 2].map((seed) => join(cache, `model-server-v1-tiny-${seed}`));
    for (const [i, path] of models.entries()) await writeModel(path, '--seed', String(i + 1));
    writeFileSync(join(models[1], 'config.json'), 'none');
    const args = ['--busy', '--size', 'tiny', '--seconds', '1', '--rounds', '1', '--workers', '1'];
    const env = { ...process.env, SAFETENSORS_MMAP_CACHE: cache };
    const { code, stderr } = await runCommand(process.execPath, [program, ...args], {
      timeoutMs: PATIENCE_MS,
      env,
    });
    expect(code).toBe(1);
    expect(stderr).toContain('load-test: a swap was refused');
    expect(commandLines().filter((line) => line.includes(cache))).toEqual([]);
  },
  PATIENCE_MS,
);

it.each([
  [['--seconds', 'many'], '--seconds is a whole number from 1 to 3600, not many'],
  [['--workers', '0'], '--workers is a whole number'],
  [['--rounds', '1.5'], '--rounds is a whole number'],
  [['--size', 'huge'], '--size is tiny, wide, large, not huge'],
])('says what is wrong with %j', (args, says) => {
  expect(() => parseOptions(args)).toThrow(says);
});

it('knows where times would tell little', () => {
  expect(isBusy({ average: 2.1, cpus: 2 })).toBe(true);
  expect(isBusy({ average: 2, cpus: 2 })).toBe(false);
  expect(loadText({ average: 9, cpus: 2 })).toContain('9.0 before: more than there are CPUs');
});

/** Of all processes that can be seen. */
function commandLines(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      return [readFileSync(`/proc/${pid}/cmdline`, 'utf8')];
    } catch {
      return [];
    }
  });
}
