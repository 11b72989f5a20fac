import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { childReport, runChild } from './support/child.ts';
import { rounds } from './support/rounds.ts';
import { temporaryFolder } from './support/temporary.ts';

/** Child processes, because a mistake here is a crash, a leak or a hang. */

const path = join(temporaryFolder(), 'model.safetensors');
const WORKS = ['prefetch', 'decode', 'slice', 'save', 'write', 'iterate'] as const;
const CLOSED = 'ERR_SAFETENSORS_CLOSED';

interface Report {
  outcomes: Record<string, number>;
  /** Of the file, in the end. */
  mappings?: number;
}

const options = { nodeFlags: ['--expose-gc'], timeoutMs: 120_000 };

function end(what: string, way: string, times: number): Promise<Report> {
  return childReport<Report>('ended-at-work', [path, what, way, `${times}`], options);
}

function expectNoMappings({ mappings }: Report): void {
  if (process.platform === 'linux') expect(mappings).toBe(0);
}

beforeAll(async () => {
  const { code, stderr } = await runChild('ended-at-work', [path, '', 'make'], options);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

describe.each(WORKS)('in the middle of it: %s', (what) => {
  const TIMES = rounds(40);

  it(`its worker is terminated, ${TIMES} times`, async () => {
    expectNoMappings(await end(what, 'terminate', TIMES));
  }, 120_000);

  it(`the file is closed, ${TIMES} times: it is done, or CLOSED`, async () => {
    const report = await end(what, 'close', TIMES);
    const { done = 0, [CLOSED]: closed = 0, ...others } = report.outcomes;
    expect(others).toEqual({});
    expect(done + closed).toBe(TIMES);
    expectNoMappings(report);
  }, 120_000);

  it(`nobody has the file any more, ${TIMES} times: it is done`, async () => {
    const report = await end(what, 'drop', TIMES);
    expect(report.outcomes).toEqual({ done: TIMES });
    expectNoMappings(report);
  }, 120_000);

  it(`nobody waits for it, ${TIMES} times`, async () => {
    expectNoMappings(await end(what, 'abandon', TIMES));
  }, 120_000);

  it('the process exits, from its progress where it tells of that', async () => {
    for (let time = 0; time < rounds(10); time++) {
      const { code, signal, stderr } = await runChild(
        'ended-at-work',
        [path, what, 'exit', '1'],
        options,
      );
      expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    }
  });
});
