import { describe, expect, it } from 'vitest';
import { availableMemory } from '../src/paging/available-memory.ts';

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
