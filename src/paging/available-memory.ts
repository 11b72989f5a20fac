import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';

const KIB = 1024;

/** Where the memory controllers are mounted by convention: version 2, and 1. */
const CGROUP2 = '/sys/fs/cgroup';
const CGROUP1 = '/sys/fs/cgroup/memory';

/**
 * Bytes that may still be used without swapping or being killed: what the system calls available,
 * or what is left below the limit of a control group that this process is in, whichever is less.
 * Page cache counts as left, since the kernel gives it up; tmpfs and shared memory, which it could only
 * swap, and pages that are locked do not. Sources: proc(5), and the kernel's admin-guide/cgroup-v2.rst
 * and cgroup-v1/memory.rst.
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

/** What one of the two versions has in a group's folder. */
interface GroupFiles {
  /** What a group may use: beyond the first it is slowed down, or processes are ended. */
  readonly limits: readonly string[];
  readonly usage: string;
  /** Of `memory.stat`: pages of files in the lists that the kernel takes from. */
  readonly cache: RegExp;
}

const FILES2: GroupFiles = {
  limits: ['memory.max', 'memory.high'],
  usage: 'memory.current',
  cache: /^(?:in)?active_file (\d+)$/gm,
};

const FILES1: GroupFiles = {
  limits: ['memory.limit_in_bytes'],
  usage: 'memory.usage_in_bytes',
  cache: /^total_(?:in)?active_file (\d+)$/gm,
};

/** What is left in each memory control group around this process. */
function* groupLimits(read: (path: string) => string | undefined): Generator<number> {
  for (const line of (read('/proc/self/cgroup') ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) continue;
    if (controllers === '') {
      for (const group of upwards(CGROUP2, path)) yield left(read, group, FILES2);
    } else if (controllers.split(',').includes('memory')) {
      for (const group of upwards(CGROUP1, path)) yield left(read, group, FILES1);
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
  { limits, usage, cache }: GroupFiles,
): number {
  const used = bytesIn(read(`${group}/${usage}`));
  // "max", or no such group: no limit.
  const known = limits.map((file) => bytesIn(read(`${group}/${file}`))).filter(Number.isFinite);
  if (known.length === 0 || Number.isNaN(used)) return Number.POSITIVE_INFINITY;
  let cached = 0;
  for (const [, bytes] of (read(`${group}/memory.stat`) ?? '').matchAll(cache)) {
    cached += Number(bytes);
  }
  return Math.max(0, Math.min(...known) - used + cached);
}

function bytesIn(text: string | undefined): number {
  return Number(text?.trim() || Number.NaN);
}
