import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Container, deserialize, safeOpen, safeOpenSync } from '../src/index.ts';
import type { Holdings } from './children/support/process.ts';
import { durationBound, growthBound } from './support/bounds.ts';
import { buildFile, patternBytes } from './support/build.ts';
import { childReport, runChild } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { expectNoLeak } from './support/leaks.ts';
import { rounds } from './support/rounds.ts';
import { writeSparseFile } from './support/sparse.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();

const MEGABYTE = 2 ** 20;

/** `a` is aligned, `b` is not. */
const bytes = buildFile([
  { name: 'a', dtype: 'F32', shape: [2], data: new Uint8Array(new Float32Array([1, 2]).buffer) },
  { name: 'pad', dtype: 'U8', shape: [1], data: patternBytes(1) },
  { name: 'b', dtype: 'F32', shape: [2], data: new Uint8Array(new Float32Array([3, 4]).buffer) },
  { name: 'none', dtype: 'F32', shape: [0], data: new Uint8Array(0) },
]);

/** One F64 tensor of so many bytes, at an odd offset. */
function misalignedFile(byteLength: number): Buffer {
  return buildFile(
    [{ name: 'odd', dtype: 'F64', shape: [byteLength / 8], data: new Uint8Array(byteLength) }],
    { dataStartModulo8: 1 },
  );
}

describe('close()', () => {
  it('empties every view of a file: aligned ones, copies and bytes', async () => {
    const file = await safeOpen(makeFile(bytes));
    const [a, b] = [file.getTensor('a'), file.getTensor('b')];
    const views = [a.data, a.bytes, b.data, b.bytes, file.getTensor('b').data];
    expect(views.map(({ byteLength }) => byteLength)).toEqual([8, 8, 8, 8, 8]);
    const { buffer } = a.data;
    file.close();
    expect(views.map(({ byteLength }) => byteLength)).toEqual([0, 0, 0, 0, 0]);
    expect(buffer.byteLength).toBe(0);
  });

  it('leaves the views of bytes in memory alone', () => {
    const memory = deserialize(bytes);
    const { data } = memory.getTensor('a');
    memory.close();
    expect(data).toEqual(new Float32Array([1, 2]));
  });

  it('can be called again, and is what `using` calls', () => {
    let outlived: Container | undefined;
    {
      using file = safeOpenSync(makeFile(bytes));
      outlived = file;
      expect(file.closed).toBe(false);
    }
    expect(outlived.closed).toBe(true);
    outlived.close();
    outlived[Symbol.dispose]();
    expect(outlived.closed).toBe(true);
  });

  it.each(['file', 'memory'])('makes everything else throw CLOSED: %s', async (kind) => {
    const container = kind === 'file' ? safeOpenSync(makeFile(bytes)) : deserialize(bytes);
    const tensors = ['a', 'b', 'none'].map((name) => container.getTensor(name));
    const seen = container.getTensor('a');
    expect(seen.data.length).toBe(2);
    const iterator = container[Symbol.iterator]();
    iterator.next();
    container.close();
    const uses: (() => unknown)[] = [
      () => container.keys(),
      () => container.offsetKeys(),
      () => container.has('a'),
      () => container.info('a'),
      () => container.getTensor('a'),
      () => container.check(),
      () => [...container],
      () => iterator.next(),
      () => seen.data,
      ...tensors.flatMap((tensor) => [() => tensor.data, () => tensor.bytes]),
    ];
    for (const use of uses) {
      expect((await thrownBy(use)).code, String(use)).toBe('ERR_SAFETENSORS_CLOSED');
    }
  });

  it('leaves what is known without the data readable', () => {
    const path = makeFile(bytes);
    const file = safeOpenSync(path);
    const tensor = file.getTensor('b');
    file.close();
    const { name, dtype, shape, size, byteLength, zeroCopy } = tensor;
    expect({ name, dtype, shape, size, byteLength, zeroCopy }).toEqual({
      name: 'b',
      dtype: 'F32',
      shape: [2],
      size: 2,
      byteLength: 8,
      zeroCopy: false,
    });
    expect([file.path, file.size, file.byteLength, file.metadata]).toEqual([
      path,
      4,
      bytes.length,
      {},
    ]);
  });

  const { prototype } = ArrayBuffer;
  it.each(['transfer', 'transferToFixedLength'])(
    'is all that empties them: no %s',
    async (method) => {
      using file = safeOpenSync(makeFile(bytes));
      const { data } = file.getTensor('a');
      const buffer = data.buffer as unknown as Record<string, () => ArrayBuffer>;
      // Node 20 has neither method.
      const expected = method in prototype ? /mapped file/ : /not a function/;
      const error = await thrownBy(() => buffer[method]());
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(expected);
      // Refused, but for Node 20, which makes a copy.
      const moving = async () => structuredClone(data.buffer, { transfer: [data.buffer] });
      await moving().catch((refusal) => expect(refusal.name).toBe('DataCloneError'));
      expect(data).toEqual(new Float32Array([1, 2]));
    },
  );
});

describe('check()', () => {
  const changes: [string, (path: string) => void][] = [
    ['cut short', (path) => truncateSync(path, bytes.length - 1)],
    ['made longer', (path) => truncateSync(path, bytes.length + 1)],
    ['rewritten in place', (path) => writeFileSync(path, bytes)],
  ];
  it.each(changes)('throws FILE_CHANGED for a file that was %s', async (_, change) => {
    const path = makeFile(bytes);
    using file = safeOpenSync(path);
    file.check();
    change(path);
    expect(await thrownBy(() => file.check())).toMatchObject({
      code: 'ERR_SAFETENSORS_FILE_CHANGED',
      path,
    });
  });
});

/** How many mappings a process may have; undefined where that has no limit, or none that is soon met. */
function mostMappings(): number | undefined {
  if (process.platform !== 'linux') return undefined;
  const most = Number(readFileSync('/proc/sys/vm/max_map_count', 'utf8'));
  return most <= 2 ** 17 ? most : undefined;
}

/** Child processes, because a mistake here is a crash, a leak or a hang. */
describe('memory', () => {
  const OPENS = rounds(100_000);
  it.each(['at-once', 'sync', 'async'])(
    `${OPENS} rounds of opening, reading and closing leak nothing: %s`,
    async (mode) => {
      const { sum, held } = await childReport<{
        sum: number;
        held: Holdings[];
      }>('open-close-rounds', [makeFile(bytes), 'a', `${OPENS}`, mode], {
        nodeFlags: ['--expose-gc', '--max-semi-space-size=1'],
        timeoutMs: 300_000,
      });
      expect(sum).toBe(OPENS);
      // A quarter of the rounds: some 160 bytes a round. An array of 64 bytes that is kept takes 450.
      expectNoLeak(held, 0, 4 * MEGABYTE);
    },
    300_000,
  );

  it.each(['safeOpenSync', 'loadFile'])(
    'a view alone keeps the mapping alive, and takes it with it: %s',
    async (way) => {
      const report = await childReport<{ values: number[]; held: Holdings; dropped: Holdings }>(
        'view-alone',
        [makeFile(bytes), 'a', way],
        { nodeFlags: ['--expose-gc'] },
      );
      expect(report.values).toEqual([1, 2]);
      if (process.platform === 'linux') {
        expect([report.held.mappings, report.dropped.mappings]).toEqual([1, 0]);
        expect(report.held.descriptors).toBe(report.dropped.descriptors);
      }
    },
  );

  it.runIf(process.platform === 'linux')(
    'closing does not wait for much memory to be unmapped, which it is all the same',
    async () => {
      const path = join(temporaryFolder(), 'much.safetensors');
      writeSparseFile(path, [{ name: 't', byteLength: 512 * MEGABYTE, tail: new Uint8Array(1) }]);
      const report = await childReport<{ times: number[]; mappings: number }>('close-of-much', [
        path,
        '5',
      ]);
      // Unmapping it takes 20 ms and more. Other processes may be in the way, but not always.
      expect(Math.min(...report.times)).toBeLessThan(durationBound(10));
      expect(report.mappings).toBe(0);
    },
    60_000,
  );

  it.each(['normal', 'exit', 'exit-from-promise', 'uncaught', 'worker-exits'])(
    'a process ends well with files open: %s',
    async (way) => {
      const { code, signal, stderr } = await runChild('exit-with-open-files', [
        makeFile(bytes),
        'a',
        way,
      ]);
      expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
    },
  );

  it('copies of misaligned tensors go with their tensors, also within one job', async () => {
    const { copied, peakGrowth } = await childReport<{ copied: number; peakGrowth: number }>(
      'misaligned-copies',
      [makeFile(misalignedFile(8 * MEGABYTE)), '100'],
    );
    expect(copied).toBe(100 * 8 * MEGABYTE);
    expect(peakGrowth).toBeLessThan(growthBound(300 * MEGABYTE));
  });

  it('more files may be open than there may be descriptors', async () => {
    const report = await childReport<{ open: number; descriptors?: number }>('many-open', [
      makeFile(bytes),
      '500',
    ]);
    expect(report.open).toBe(500);
    if (process.platform === 'linux') expect(report.descriptors).toBeLessThan(100);
  });

  const mappings = mostMappings();
  if (mappings === undefined)
    console.warn('lifetime: too many mappings is left out: so many may be');
  it.runIf(mappings)(
    'files that are never closed are refused before they take every mapping of the process',
    async () => {
      const report = await childReport<object>('never-closed', [makeFile(bytes), `${mappings}`], {
        nodeFlags: ['--expose-gc'],
        timeoutMs: 200_000,
      });
      expect(report).toEqual({
        open: expect.any(Number),
        code: 'EMFILE',
        syscall: 'mmap',
        arrays: 100,
        after: 'mmap',
      });
    },
    200_000,
  );

  it('workers may be terminated at any moment', async () => {
    const held = await childReport<Holdings[]>(
      'terminated-workers',
      [makeFile(bytes), 'a', `${rounds(200)}`],
      { nodeFlags: ['--expose-gc'], timeoutMs: 200_000 },
    );
    expectNoLeak(held, 0, 16 * MEGABYTE);
  }, 200_000);
});
