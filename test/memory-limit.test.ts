import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { safeOpenSync } from 'safetensors-mmap';
import { describe, expect, it } from 'vitest';
import { availableMemory } from '../src/paging/available-memory.ts';
import type { PageRanges, Pages } from '../src/paging/pages.ts';
import { prefetch, release, residency } from '../src/paging/prefetch.ts';
import type { Storage } from '../src/storage/storage.ts';
import { childCommand, runCommand } from './support/child.ts';
import { writeSparseFile } from './support/sparse.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const MANY = 60_000;
const TENSOR_BYTES = 2 ** 20;

/** Every other of many tensors, which are far more than memory is: none of their ranges touch. */
function manyRanges(): { path: string; names: string[] } {
  const path = join(folder, 'many.safetensors');
  const tensors = Array.from({ length: MANY }, (_, i) => ({
    name: `t${i}`,
    byteLength: TENSOR_BYTES * (i % 2 === 0 ? 64 : 1),
    tail: new Uint8Array(0),
  }));
  writeSparseFile(path, tensors);
  return { path, names: tensors.filter((_, i) => i % 2 === 0).map(({ name }) => name) };
}

describe('while memory is checked', () => {
  it('an abort ends it, with its reason', async () => {
    const { path, names } = manyRanges();
    using file = safeOpenSync(path);
    const reason = new Error('enough');
    const controller = new AbortController();
    setImmediate(() => controller.abort(reason));
    await expect(file.prefetch(names, { signal: controller.signal })).rejects.toBe(reason);
  });

  it('so does closing the container: CLOSED', async () => {
    const { path, names } = manyRanges();
    const file = safeOpenSync(path);
    setImmediate(() => file.close());
    await expect(file.prefetch(names)).rejects.toMatchObject({ code: 'ERR_SAFETENSORS_CLOSED' });
  });

  it('is asked of many ranges at once, and of each byte once', async () => {
    const asked: PageRanges[] = [];
    const pages: Pages = {
      resident: async (ranges) => {
        asked.push(ranges);
        return sumOf(ranges);
      },
      pageIn: () => ({ bytes: 0, finished: true, cancel: () => {} }),
      drop: async () => {},
      anyLost: false,
    };
    const begins = Float64Array.from({ length: MANY }, (_, i) => 2 * i * TENSOR_BYTES);
    const ends = begins.map((begin, i) => begin + (i === 7 ? 9 * 2 ** 40 : TENSOR_BYTES));
    begins.forEach((begin, i) => {
      if (i > 7) [begins[i], ends[i]] = [begin + 9 * 2 ** 40, ends[i] + 9 * 2 ** 40];
    });
    const table = { columns: { begins, ends }, count: MANY, atOffsetRank: (rank: number) => rank };
    const storage = { table, dataStart: 64, pages, assertOpen() {}, assertIntact() {} };
    await prefetch(storage as unknown as Storage, undefined);
    expect(asked.length).toBeLessThan((9 * 2 ** 40) / 2 ** 32 + MANY / 1000);
    let [end, disordered, most] = [0, 0, 0];
    for (const ranges of asked) {
      most = Math.max(most, sumOf(ranges));
      for (let i = 0; i < ranges.length; i += 2) {
        if (ranges[i] < end) disordered++;
        end = ranges[i] + ranges[i + 1];
      }
    }
    expect(disordered).toBe(0);
    expect(most).toBe(2 ** 32);
    expect(end).toBeGreaterThan(9 * 2 ** 40);
  });
});

it('is refused to what does not fit together, however much of it is there already', async () => {
  const total = 9 * 2 ** 40;
  for (const missing of [0, 1]) {
    const pages: Pages = {
      resident: async (ranges) => sumOf(ranges) - missing,
      pageIn: () => ({ bytes: 0, finished: true, cancel: () => {} }),
      drop: async () => {},
      anyLost: false,
    };
    const columns = { begins: Float64Array.of(0), ends: Float64Array.of(total) };
    const table = { columns, count: 1, atOffsetRank: (rank: number) => rank };
    const storage = { table, dataStart: 64, pages, assertOpen() {}, assertIntact() {} };
    const fetching = prefetch(storage as unknown as Storage, undefined);
    if (missing === 0) await fetching;
    else {
      await expect(fetching).rejects.toMatchObject({ code: 'ERR_SAFETENSORS_MEMORY_LIMIT' });
    }
  }
});

it('what the system refuses of pages is an error of the shape that Node gives its own', async () => {
  // madvise does of memory that is locked.
  const refuse = () =>
    Promise.reject(Object.assign(new Error(), { errno: -22, syscall: 'madvise' }));
  const columns = { begins: Float64Array.of(0), ends: Float64Array.of(100) };
  const table = { columns, count: 1, atOffsetRank: (rank: number) => rank };
  const pages = { resident: refuse, drop: refuse };
  const storage = { table, dataStart: 64, pages, path: '/a/file' } as unknown as Storage;
  const expected = { code: 'EINVAL', syscall: 'madvise', path: '/a/file' };
  await expect(residency(storage, undefined)).rejects.toMatchObject(expected);
  await expect(release(storage, undefined)).rejects.toMatchObject(expected);
});

function sumOf(ranges: PageRanges): number {
  return ranges.reduce((sum, length, i) => sum + (i % 2 === 1 ? length : 0), 0);
}

/** A file of another's, as models in containers are: Linux does not say which of its pages are in memory. */
it('a file that the process may only read is not taken for one that is in memory', async ({
  skip,
}) => {
  const leaveOut = (reason: string) => {
    console.warn(`LEFT OUT: a test of test/memory-limit.test.ts: ${reason}`);
    skip(reason);
  };
  if (process.platform !== 'linux') leaveOut('written for Linux');
  if (process.getuid?.() !== 0) leaveOut('only root can run a process as somebody else');
  const huge = join(folder, 'huge.safetensors');
  const small = join(folder, 'small.safetensors');
  for (const [path, byteLength] of [
    [huge, 2 ** 40],
    [small, 64 * TENSOR_BYTES],
  ] as const) {
    writeSparseFile(path, [{ name: 't', byteLength, tail: new Uint8Array(1) }]);
    chmodSync(path, 0o644);
  }
  chmodSync(folder, 0o755);
  const nobody = { uid: 65534, gid: 65534 };
  const [command, args] = childCommand('file-of-another', [huge, small]);
  const probe = await runCommand(
    command,
    ['-e', `fs.accessSync(${JSON.stringify(args[0])})`],
    nobody,
  );
  if (probe.code !== 0) leaveOut('the tests are where only root may read');
  const { code, stdout, stderr } = await runCommand(command, args, nobody);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  const { refused, before, after, released } = JSON.parse(stdout);
  expect(refused).toBe('ERR_SAFETENSORS_MEMORY_LIMIT');
  expect(before).toBe(0);
  expect(after).toBe(64 * TENSOR_BYTES);
  expect(released).toBeLessThan(TENSOR_BYTES);
});

describe('the memory that is available', () => {
  const meminfo = 'MemTotal: 100 kB\nMemAvailable:   1000 kB\n';

  it('is what the system says, where no group has a limit', () => {
    const files: Record<string, string> = {
      '/proc/meminfo': meminfo,
      '/proc/self/cgroup': '0::/user.slice\n',
      '/sys/fs/cgroup/user.slice/memory.max': 'max\n',
      '/sys/fs/cgroup/user.slice/memory.current': '5\n',
    };
    expect(availableMemory((file) => files[file])).toBe(1_024_000);
  });

  it('is what is left in the tightest group around the process, cache not counted', () => {
    const files: Record<string, string> = {
      '/proc/meminfo': meminfo,
      '/proc/self/cgroup': '0::/pods/mine\n',
      '/sys/fs/cgroup/pods/mine/memory.max': '900000\n',
      '/sys/fs/cgroup/pods/mine/memory.current': '100000\n',
      '/sys/fs/cgroup/pods/memory.max': '500000\n',
      '/sys/fs/cgroup/pods/memory.current': '400000\n',
      '/sys/fs/cgroup/pods/memory.stat':
        'anon 300000\nfile 150000\nshmem 50000\ninactive_file 60000\nactive_file 40000\n',
    };
    expect(availableMemory((file) => files[file])).toBe(200_000);
  });

  it('knows the limit of a container, whose own group is mounted at the root', () => {
    const files: Record<string, string> = {
      '/proc/meminfo': meminfo,
      '/proc/self/cgroup': '0::/\n',
      '/sys/fs/cgroup/memory.max': '300000\n',
      '/sys/fs/cgroup/memory.current': '100000\n',
    };
    expect(availableMemory((file) => files[file])).toBe(200_000);
  });

  it('knows version 1', () => {
    const files: Record<string, string> = {
      '/proc/meminfo': meminfo,
      '/proc/self/cgroup': '7:cpu:/x\n4:hugetlb,memory:/jobs/1\n0::/\n',
      '/sys/fs/cgroup/memory/jobs/1/memory.limit_in_bytes': '700000\n',
      '/sys/fs/cgroup/memory/jobs/1/memory.usage_in_bytes': '600000\n',
      '/sys/fs/cgroup/memory/jobs/1/memory.stat':
        'cache 1\nactive_file 1\ntotal_inactive_file 20000\ntotal_active_file 30000\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': '600000\n',
    };
    expect(availableMemory((file) => files[file])).toBe(150_000);
  });

  it('does not count tmpfs, shared memory and what is locked, which the system cannot give up', () => {
    const files: Record<string, string> = {
      '/proc/meminfo': meminfo,
      '/proc/self/cgroup': '0::/mine\n',
      '/sys/fs/cgroup/mine/memory.max': '1000000\n',
      '/sys/fs/cgroup/mine/memory.current': '900000\n',
      '/sys/fs/cgroup/mine/memory.stat':
        'anon 0\nfile 900000\nshmem 700000\nactive_file 50000\nunevictable 150000\n',
    };
    expect(availableMemory((file) => files[file])).toBe(150_000);
  });

  it('ends where a group is slowed down', () => {
    const files: Record<string, string> = {
      '/proc/meminfo': meminfo,
      '/proc/self/cgroup': '0::/mine\n',
      '/sys/fs/cgroup/mine/memory.max': 'max\n',
      '/sys/fs/cgroup/mine/memory.high': '400000\n',
      '/sys/fs/cgroup/mine/memory.current': '100000\n',
    };
    expect(availableMemory((file) => files[file])).toBe(300_000);
    files['/sys/fs/cgroup/mine/memory.max'] = '350000\n';
    expect(availableMemory((file) => files[file])).toBe(250_000);
  });

  it('is at least the free memory where nothing is told', () => {
    expect(availableMemory(() => undefined)).toBeGreaterThan(0);
  });
});
