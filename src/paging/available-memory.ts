import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';

const KIB = 1024;

/** Where the memory controllers are mounted by convention: version 2, and 1. */
const CGROUP2 = '/sys/fs/cgroup';
const CGROUP1 = '/sys/fs/cgroup/memory';

/**
 * Bytes that may still be used without swapping or being killed: what the system calls available,
 * or what is left below the limit of a control group that this process is in, whichever is less.
 * Page cache counts as left, since the kernel gives it up. Sources: proc(5), and the kernel's
 * admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
 *
 * `read` is for tests: the text of a file, `undefined` where there is none.
 */
export function availableMemory(read: (path: string) => string | undefined = readText): number {
  const kilobytes = /^MemAvailable:\s+(\d+) kB$/m.exec(read('/proc/meminfo') ?? '')?.[1];
  const system = kilobytes === undefined ? freemem() : KIB * Number(kilobytes);
  return Math.min(system, ...groupLimits(read));
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** What is left in each memory control group around this process. */
function* groupLimits(read: (path: string) => string | undefined): Generator<number> {
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    if (controllers === '') {
      for (const group of upwards(CGROUP2, path)) {
        yield left(read, group, 'memory.max', 'memory.current', /^file (\d+)$/m);
      }
    } else if (controllers.split(',').includes('memory')) {
      for (const group of upwards(CGROUP1, path)) {
        yield left(
          read,
          group,
          'memory.limit_in_bytes',
          'memory.usage_in_bytes',
          /^total_cache (\d+)$/m,
        );
      }
    }
  }
}

/** A group's folder and those around it: limits count all the way up. */
function* upwards(root: string, path: string): Generator<string> {
  for (let at = path.replace(/\/$/, ''); at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
    yield root + at;
  }
  yield root; // in a container, whose own group is mounted there under another path
}

function left(
  read: (path: string) => string | undefined,
  group: string,
  limitFile: string,
  usageFile: string,
  cache: RegExp,
): number {
  const limit = Number(read(`${group}/${limitFile}`)?.trim() || Number.NaN);
  const usage = Number(read(`${group}/${usageFile}`)?.trim() || Number.NaN);
  // "max", or no such group: no limit.
  if (Number.isNaN(limit) || Number.isNaN(usage)) return Number.POSITIVE_INFINITY;
  const cached = Number(cache.exec(read(`${group}/memory.stat`) ?? '')?.[1] ?? 0);
  return Math.max(0, limit - usage + cached);
}
