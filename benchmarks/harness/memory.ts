import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { NotMeasured } from './trial.ts';

/** Left for everybody else. */
const SPARE_BYTES = 2 ** 30;

/** @throws {NotMeasured} unless so much memory is available, and some more */
export function assertMemory(bytes: number): void {
  // MemAvailable, or what the process's control group has left; Node 20.13 and later.
  const available = process.availableMemory?.() ?? freemem();
  if (available >= bytes + SPARE_BYTES) return;
  const [needed, left] = [bytes + SPARE_BYTES, available].map((size) => (size / 1e9).toFixed(1));
  throw new NotMeasured(`${left} GB of memory are available, ${needed} are needed`);
}

/** Bytes that nobody has, not even the page cache; 0 where the system does not tell. */
export function unusedMemory(): number {
  if (process.platform !== 'linux') return 0;
  const [, kilobytes] = /^MemFree: +(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8')) ?? [];
  return 1024 * Number(kilobytes ?? 0);
}
