import { readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Container,
  deserialize,
  openModel,
  type PrefetchProgress,
  type SafetensorsError,
  safeOpen,
  safeOpenSync,
  saveFile,
  saveModel,
} from 'safetensors-mmap';
import { afterEach, describe, expect, it } from 'vitest';
import { durationBound } from './support/bounds.ts';
import { childReport } from './support/child.ts';
import { evict } from './support/page-cache.ts';
import { writeSparseFile } from './support/sparse.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const MEGABYTE = 2 ** 20;
const TENSORS = 8;
const TENSOR_BYTES = 8 * MEGABYTE;
const TOTAL_BYTES = TENSORS * TENSOR_BYTES;

/** Evicting and counting pages are Linux's here; elsewhere mincore knows other states. */
const canEvict = process.platform === 'linux';
if (!canEvict) console.warn('prefetch: cold files are left out: evicting them needs Linux');

const tensors = new Map(
  Array.from({ length: TENSORS }, (_, i) => [
    `t${i}`,
    { dtype: 'U8', shape: [TENSOR_BYTES], data: new Uint8Array(TENSOR_BYTES).fill(i + 1) } as const,
  ]),
);

/** One tensor of zeros. */
function sparseFile(path: string, byteLength: number): string {
  writeSparseFile(path, [{ name: 't', byteLength, tail: new Uint8Array(1) }]);
  return path;
}

const path = join(folder, 'model.safetensors');
await saveFile(tensors, path);

const opened: Container[] = [];
afterEach(() => {
  for (const container of opened.splice(0)) container.close();
});

function openCold(): Container {
  evict(path);
  const file = safeOpenSync(path);
  opened.push(file);
  return file;
}

describe.runIf(canEvict)('a cold file', () => {
  it('is not in memory before, and wholly after', async () => {
    const file = openCold();
    const before = await file.residency();
    expect(before.byteLength).toBe(TOTAL_BYTES);
    expect(before.residentBytes).toBeLessThan(TOTAL_BYTES / 2);
    await file.prefetch();
    expect(await file.residency()).toEqual({ byteLength: TOTAL_BYTES, residentBytes: TOTAL_BYTES });
  });

  it('faults no more once it is in memory', async () => {
    const file = openCold();
    await file.prefetch();
    const view = file.getTensor('t3').data as Uint8Array;
    const before = process.resourceUsage();
    let sum = 0;
    for (let i = 0; i < view.length; i += 4096) sum += view[i];
    const after = process.resourceUsage();
    expect(sum).toBe((4 * TENSOR_BYTES) / 4096);
    expect(after.majorPageFault - before.majorPageFault).toBe(0);
    // 2,048 without; a few are V8's own.
    expect(after.minorPageFault - before.minorPageFault).toBeLessThan(200);
  });

  it('is read only where it is asked for', async () => {
    const file = openCold();
    await file.prefetch(['t6', 't2', 't2']);
    expect((await file.residency(['t2', 't6'])).residentBytes).toBe(2 * TENSOR_BYTES);
    expect((await file.residency(['t0', 't4'])).residentBytes).toBeLessThan(TENSOR_BYTES);
  });

  it('tells how far it is, in bytes', async () => {
    const file = openCold();
    const seen: PrefetchProgress[] = [];
    await file.prefetch(undefined, { onProgress: (progress) => seen.push(progress) });
    expect(seen.at(-1)).toEqual({ bytes: TOTAL_BYTES, totalBytes: TOTAL_BYTES });
    expect(seen.map(({ bytes }) => bytes)).toEqual(
      seen.map(({ bytes }) => bytes).toSorted((a, b) => a - b),
    );
    const told = seen.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(seen).toHaveLength(told);
  });

  it('leaves the process when it is released, and comes back', async () => {
    const file = openCold();
    const view = file.getTensor('t1').data as Uint8Array;
    view[TENSOR_BYTES / 2] = 77;
    await file.release(['t0']);
    expect(view[TENSOR_BYTES / 2]).toBe(77);
    await file.release(['t1']);
    // What was written is lost: the view shows the file again.
    expect(view[TENSOR_BYTES / 2]).toBe(2);
    expect(view[0]).toBe(2);
    expect(view.at(-1)).toBe(2);
  });
});

it('works over all shards of a model', async () => {
  const model = join(folder, 'sharded');
  await saveModel(tensors, model, { maxShardSize: 3 * TENSOR_BYTES });
  const container = await openModel(model);
  opened.push(container);
  await container.prefetch();
  expect(await container.residency()).toEqual({
    byteLength: TOTAL_BYTES,
    residentBytes: TOTAL_BYTES,
  });
  expect((await container.residency(['t7', 't0'])).byteLength).toBe(2 * TENSOR_BYTES);
  await container.release();
  expect((container.getTensor('t5').data as Uint8Array)[9]).toBe(6);
});

it('has nothing to do for bytes in memory', async () => {
  const container = deserialize(readFileSync(path));
  const seen: PrefetchProgress[] = [];
  await container.prefetch(undefined, { onProgress: (progress) => seen.push(progress) });
  expect(seen).toEqual([{ bytes: TOTAL_BYTES, totalBytes: TOTAL_BYTES }]);
  expect(await container.residency(['t1'])).toEqual({
    byteLength: TENSOR_BYTES,
    residentBytes: TENSOR_BYTES,
  });
  await container.release();
  expect((container.getTensor('t0').data as Uint8Array)[0]).toBe(1);
});

describe('what ends it', () => {
  it('an abort, at once, with its reason', async () => {
    const file = await safeOpen(sparseFile(join(folder, 'sparse.safetensors'), 8 * 2 ** 30));
    opened.push(file);
    const controller = new AbortController();
    const reason = new Error('enough');
    let aborted = 0;
    setTimeout(() => {
      aborted = performance.now();
      controller.abort(reason);
    }, 30);
    const prefetch = file.prefetch(undefined, { signal: controller.signal });
    await expect(prefetch).rejects.toBe(reason);
    expect(performance.now() - aborted).toBeLessThan(durationBound(50));
    await expect(file.prefetch(undefined, { signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
  });

  it('closing the container: CLOSED', async () => {
    const file = await safeOpen(sparseFile(join(folder, 'closed.safetensors'), 8 * 2 ** 30));
    setTimeout(() => file.close(), 30);
    await expect(file.prefetch()).rejects.toMatchObject({ code: 'ERR_SAFETENSORS_CLOSED' });
    for (const call of [() => file.prefetch(), () => file.residency(), () => file.release()]) {
      await expect(call()).rejects.toMatchObject({ code: 'ERR_SAFETENSORS_CLOSED' });
    }
  });

  it('onProgress that closes the container, however late', async () => {
    const file = safeOpenSync(path);
    const onProgress = ({ bytes, totalBytes }: PrefetchProgress) => {
      if (bytes === totalBytes) file.close();
    };
    const code = 'ERR_SAFETENSORS_CLOSED';
    await expect(file.prefetch(undefined, { onProgress })).rejects.toMatchObject({ code });
  });

  it('an error of onProgress', async () => {
    const error = new Error('mine');
    const onProgress = () => {
      throw error;
    };
    await expect(safeOpenSync(path).prefetch(undefined, { onProgress })).rejects.toBe(error);
  });

  it('more than is available: MEMORY_LIMIT', async () => {
    const file = await safeOpen(sparseFile(join(folder, 'huge.safetensors'), 2 ** 40));
    opened.push(file);
    const error: SafetensorsError = await file.prefetch().then(
      () => expect.unreachable(),
      (error) => error,
    );
    expect(error.code).toBe('ERR_SAFETENSORS_MEMORY_LIMIT');
    expect(error.message).toMatch(/^.*: 1099511\d+ bytes are not all .* \d+ are available/);
    expect(error.path).toBe(file.path);
  });

  it.runIf(process.platform === 'linux')('pages that are lost: FILE_CHANGED', async () => {
    const lost = join(folder, 'lost.safetensors');
    await saveFile(tensors, lost);
    const file = await safeOpen(lost);
    opened.push(file);
    truncateSync(lost, TOTAL_BYTES / 2);
    await expect(file.prefetch()).rejects.toMatchObject({
      code: 'ERR_SAFETENSORS_FILE_CHANGED',
      path: lost,
      tensor: expect.stringMatching(/^t[2-7]$/),
      message: expect.stringMatching(/at byte \d+/),
    });
    // From then on all that reads from the file says so.
    await expect(file.prefetch(['t0'])).rejects.toMatchObject({
      code: 'ERR_SAFETENSORS_FILE_CHANGED',
    });
  });
});

describe('misuse', () => {
  const file = safeOpenSync(path);

  it.each([
    [
      'a name that is not there',
      () => file.prefetch(['t0', 't9']),
      'ERR_SAFETENSORS_TENSOR_NOT_FOUND',
    ],
    ['… of residency', () => file.residency(['t9']), 'ERR_SAFETENSORS_TENSOR_NOT_FOUND'],
    ['… of release', () => file.release(['t9']), 'ERR_SAFETENSORS_TENSOR_NOT_FOUND'],
  ])('%s', async (_, call, code) => {
    await expect(call()).rejects.toMatchObject({ code });
  });

  it.each<[string, unknown, unknown, typeof TypeError]>([
    ['a string for names', 't0', undefined, TypeError],
    ['null for names', null, undefined, TypeError],
    ['a number among names', [7], undefined, TypeError],
    ['options that are none', undefined, 7, TypeError],
    ['a signal that is none', undefined, { signal: {} }, TypeError],
    ['onProgress that is none', undefined, { onProgress: 7 }, TypeError],
    ['beyondMemory that is none', undefined, { beyondMemory: 1 }, TypeError],
    ['a concurrency that is none', undefined, { concurrency: '4' }, TypeError],
    ['concurrency 0', undefined, { concurrency: 0 }, RangeError],
    ['concurrency 1.5', undefined, { concurrency: 1.5 }, RangeError],
    ['concurrency 65', undefined, { concurrency: 65 }, RangeError],
  ])('%s', async (_, names, options, kind) => {
    const call = file.prefetch as (names: unknown, options: unknown) => Promise<void>;
    const error = await call.call(file, names, options).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(error).toBeInstanceOf(kind);
    expect((error as Error).message).toMatch(/: expected .*, found /);
  });
});

describe('the process', () => {
  it('ends at any moment of it', async () => {
    const huge = sparseFile(join(folder, 'ended.safetensors'), 16 * 2 ** 30);
    // Of a file that takes much longer to read. The last three end 20 times, each of them anew.
    const bounds = { exit: 5_000, end: 5_000, terminate: 40_000, close: 40_000, drop: 40_000 };
    for (const [way, bound] of Object.entries(bounds)) {
      const report = await childReport<{ way: string; ms: number }>('prefetch-ended', [huge, way], {
        nodeFlags: ['--expose-gc'],
        timeoutMs: 120_000,
      });
      expect(report.way).toBe(way);
      expect(report.ms).toBeLessThan(durationBound(bound));
    }
  }, 240_000);
});
