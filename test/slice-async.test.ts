import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Container,
  deserialize,
  type SliceRange,
  safeOpenSync,
  saveFile,
  serialize,
  type Tensor,
} from '../src/index.ts';
import type { Holdings } from './children/support/process.ts';
import { growthBound } from './support/bounds.ts';
import { buildFile, patternBytes } from './support/build.ts';
import { childReport } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { expectNoLeak } from './support/leaks.ts';
import { anySlice } from './support/slices.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();
const MEGABYTE = 2 ** 20;

const ways: Record<string, (bytes: Buffer) => Container> = {
  'a file': (bytes) => safeOpenSync(makeFile(bytes)),
  memory: (bytes) => deserialize(bytes),
};

/** 64 MiB: several pieces. */
const LARGE_SHAPE = [4096, 8192];
const large = patternBytes(64, 3);
const largeData = Buffer.alloc(LARGE_SHAPE[0] * LARGE_SHAPE[1] * 2, large);
const largeFile = Buffer.from(
  serialize({ x: { dtype: 'I16', shape: LARGE_SHAPE, data: largeData } }),
);
const COLUMNS: readonly SliceRange[] = [null, [1, 6000]];

function bytesOf(container: Container, ranges: readonly SliceRange[]): Uint8Array {
  return container.getSlice('x', ...ranges).bytes;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe.each(Object.entries(ways))('sliceAsync of %s', (_, open) => {
  it('is what slice is', async () => {
    await fc.assert(
      fc.asyncProperty(anySlice('F32'), async ({ dtype, shape, ranges }) => {
        const data = patternBytes(4 * shape.reduce((a, b) => a * b, 1));
        using container = open(buildFile([{ name: 'x', dtype, shape, data }]));
        const tensor: Tensor = container.getTensor('x');
        let expected: Tensor;
        try {
          expected = tensor.slice(...ranges);
        } catch (error) {
          const { code, message } = await thrownBy(() => tensor.sliceAsync(ranges));
          expect({ code, message }).toEqual({
            code: (error as { code: string }).code,
            message: (error as Error).message,
          });
          return;
        }
        const slice = await tensor.sliceAsync(ranges);
        expect(slice.shape).toEqual(expected.shape);
        expect(slice.zeroCopy).toBe(expected.zeroCopy);
        expect(Buffer.compare(slice.bytes, expected.bytes)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  const many: SliceRange[][] = [
    [...COLUMNS],
    [null, [null, null, 2]],
    [
      [null, null, -1],
      [null, null, -3],
    ],
    [[0, null, 2048], null],
    ['...', -1],
  ];
  it.each(many.map((ranges) => [ranges]))('of many pieces: %j', async (ranges) => {
    using container = open(largeFile);
    const slice = await container.getTensor('x').sliceAsync(ranges);
    expect(slice.zeroCopy).toBe(false);
    expect(Buffer.compare(slice.bytes, bytesOf(container, ranges))).toBe(0);
  });

  it('a slice that is a view is one here too', async () => {
    using container = open(largeFile);
    const tensor = container.getTensor('x');
    const slice = await tensor.sliceAsync([[5, 7]]);
    expect(slice.zeroCopy).toBe(true);
    expect(slice.bytes.buffer).toBe(tensor.bytes.buffer);
  });

  it('closing meanwhile ends it with CLOSED', async () => {
    for (let turns = 0; turns < 8; turns++) {
      const container = open(largeFile);
      const tensor = container.getTensor('x');
      const pending = [tensor, tensor.slice(null, [0, 7000])].map((each) =>
        each.sliceAsync([null, [1, 5000]]).then(
          (slice) => slice,
          (error) => error,
        ),
      );
      for (let i = 0; i < turns; i++) await turn();
      container.close();
      for (const outcome of await Promise.all(pending)) {
        if (outcome instanceof Error) {
          expect(outcome).toMatchObject({ code: 'ERR_SAFETENSORS_CLOSED' });
        } else {
          expect((await thrownBy(() => outcome.data)).code).toBe('ERR_SAFETENSORS_CLOSED');
        }
      }
    }
  });

  it('a signal ends it with its reason', async () => {
    using container = open(largeFile);
    const tensor = container.getTensor('x');
    const reason = new Error('no longer wanted');
    const aborted = AbortSignal.abort(reason);
    expect(await thrownBy(() => tensor.sliceAsync(COLUMNS, { signal: aborted }))).toBe(reason);
    for (let turns = 0; turns < 3; turns++) {
      const controller = new AbortController();
      const pending = tensor.sliceAsync(COLUMNS, { signal: controller.signal });
      for (let i = 0; i < turns; i++) await turn();
      controller.abort(reason);
      const outcome = await pending.catch((error) => error);
      if (turns === 0) expect(outcome).toBe(reason);
      else expect(outcome === reason || outcome.byteLength > 0).toBe(true);
    }
    // Nothing is left that would end another.
    expect((await tensor.sliceAsync(COLUMNS, {})).bytes.length).toBe(4096 * 5999 * 2);
  });

  it('misuse is a rejection', async () => {
    using container = open(largeFile);
    const tensor = container.getTensor('x');
    const calls: [unknown, unknown?][] = [
      [undefined],
      [null],
      [0],
      ['...'],
      [{ 0: 0, length: 1 }],
      [['0']],
      [[[0, 1, 2, 3]]],
      [[0], null],
      [[0], []],
      [[0], { signal: {} }],
      [[0], { signal: new AbortController() }],
    ];
    for (const [ranges, options] of calls) {
      const pending = tensor.sliceAsync(ranges as SliceRange[], options as object);
      expect(await thrownBy(() => pending)).toBeInstanceOf(TypeError);
    }
    expect(await thrownBy(() => tensor.sliceAsync([0.5]))).toBeInstanceOf(RangeError);
    container.close();
    expect((await thrownBy(() => tensor.sliceAsync([0]))).code).toBe('ERR_SAFETENSORS_CLOSED');
  });

  it('leaves the event loop free', async () => {
    const TURNS = 20;
    using container = open(largeFile);
    const tensor = container.getTensor('x');
    await tensor.sliceAsync(COLUMNS);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const start = performance.now();
    const isShort = () => performance.now() - start < (delay.count > TURNS ? 300 : 10_000);
    while (isShort()) await tensor.sliceAsync([null, [null, null, 2]]);
    delay.disable();
    expect(delay.count).toBeGreaterThan(TURNS);
    // The median: single turns are late whenever the machine has something else to do.
    expect(delay.percentile(50) / 1e6).toBeLessThan(50);
  });
});

it('memory that is moved meanwhile is an error, not a crash', async () => {
  const own = new Uint8Array(largeFile);
  const pending = deserialize(own).getTensor('x').sliceAsync(COLUMNS);
  await turn();
  structuredClone(own.buffer, { transfer: [own.buffer] });
  const error = await thrownBy(() => pending);
  expect(error).toBeInstanceOf(TypeError);
});

describe('memory', () => {
  const folder = temporaryFolder();
  const path = join(folder, 'rounds.safetensors');

  it.each(['at-once', 'turns', 'async'])(
    'thousands of slices leave nothing behind: %s',
    async (mode) => {
      const data = new Uint8Array(512 * 1024);
      await saveFile({ x: { dtype: 'U8', shape: [512, 1024], data } }, path);
      const { bytes, held, peakGrowth } = await childReport<{
        bytes: number;
        held: Holdings[];
        peakGrowth: number;
      }>('slice-rounds', [path, '8000', mode], {
        nodeFlags: ['--expose-gc'],
        timeoutMs: 120_000,
      });
      expect(bytes).toBe(8000 * 256 * 1024);
      expectNoLeak(held, 1, 6 * MEGABYTE);
      // 2 GB were copied.
      expect(peakGrowth).toBeLessThan(growthBound(300 * MEGABYTE));
    },
    120_000,
  );
});
