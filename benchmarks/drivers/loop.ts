/**
 * Prefetches a file and prints how late the event loop was meanwhile, as JSON.
 *
 *   prefetch FILE
 */
import { safeOpen } from 'safetensors-mmap';
import { costOf } from './memory.ts';
import type { LoopResult } from './results.ts';

const path = process.argv[3];
const file = await safeOpen(path);
const { time, delay, longestDelay } = await costOf(() => file.prefetch());
const { byteLength, residentBytes } = await file.residency();
file.close();
const result: LoopResult = {
  time,
  delay,
  longest: longestDelay,
  resident: residentBytes / byteLength,
};
console.log(JSON.stringify(result));
