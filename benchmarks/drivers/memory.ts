import { openSync, readSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';

const MEMORY_INTERVAL_MS = 2;
const LOOP_RESOLUTION_MS = 1;
/** Node's monitor counts from its first tick on, which a busy machine may let wait. */
const FIRST_TICKS_MS = 20;

/** Of a number in /proc, with the blanks before it. */
const LONGEST_NUMBER = 24;

/** Read again and again into the same memory: garbage would make the collections whose delay is then measured. */
const status = { text: Buffer.alloc(8192), file: -1 };

/**
 * A field of /proc/self/status in bytes. Peak memory elsewhere: getrusage(2), whose figure starts
 * with the parent's on Linux, hence not there.
 */
export function memoryStatus(field: 'VmRSS' | 'VmHWM' | 'RssAnon'): number {
  if (process.platform !== 'linux') return 1024 * process.resourceUsage().maxRSS;
  if (status.file < 0) status.file = openSync('/proc/self/status', 'r');
  const { text } = status;
  const end = readSync(status.file, text, 0, text.length, 0);
  const label = `\n${field}:`;
  const at = text.indexOf(label);
  if (at < 0 || at >= end) throw new Error(`/proc/self/status has no ${field}`);
  const number = at + label.length;
  return 1024 * Number.parseInt(text.toString('latin1', number, number + LONGEST_NUMBER), 10);
}

/** Memory that is the process's own: pages of mapped files, which the system may drop, are not. */
export function ownMemory(): number {
  return memoryStatus('RssAnon');
}

/** What a piece of work costs the process. */
export interface Cost {
  /** Milliseconds. */
  time: number;
  /** Bytes of the process's own at the peak, over those before it. */
  memory: number;
  /** Milliseconds that the event loop was late: at most, and at the 99th percentile. */
  longestDelay: number;
  delay: number;
}

/** Does the work, looking at memory and at the event loop meanwhile. */
export async function costOf(work: () => Promise<unknown>): Promise<Cost> {
  const monitor = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
  const before = ownMemory();
  let peak = before;
  const sampling = setInterval(() => {
    peak = Math.max(peak, ownMemory());
  }, MEMORY_INTERVAL_MS);
  monitor.enable();
  await setTimeout(FIRST_TICKS_MS);
  const start = performance.now();
  await work();
  const time = performance.now() - start;
  await setTimeout(2 * LOOP_RESOLUTION_MS); // the delay that is just ending counts
  monitor.disable();
  clearInterval(sampling);
  peak = Math.max(peak, ownMemory());
  return {
    time,
    memory: peak - before,
    longestDelay: monitor.max / 1e6,
    delay: monitor.percentile(99) / 1e6,
  };
}
