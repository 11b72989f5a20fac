/**
 * Prefetches a file and prints how late the event loop was meanwhile, as JSON.
 *
 *   prefetch FILE
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { safeOpen } from 'safetensors-mmap';
import type { LoopResult } from './results.ts';

const RESOLUTION_MS = 1;
/** A percentile. */
const MOST = 99;

const path = process.argv[3];
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
const file = await safeOpen(path);
await setTimeout(100);
delay.enable();
const start = performance.now();
await file.prefetch();
const time = performance.now() - start;
await setTimeout(2 * RESOLUTION_MS); // the delay that is just ending counts
delay.disable();
const { byteLength, residentBytes } = await file.residency();
file.close();
const result: LoopResult = {
  time,
  delay: delay.percentile(MOST) / 1e6,
  longest: delay.max / 1e6,
  checksum: `${byteLength === residentBytes}`,
};
console.log(JSON.stringify(result));
