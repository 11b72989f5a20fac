/**
 * Writes every tensor of a mapped file into another one, with a writer; prints how much memory that
 * took beyond what it began with, and for how long the event loop stood still at most.
 */
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout } from 'node:timers/promises';
import { createWriter, safeOpen } from 'safetensors-mmap';

const [source, target] = process.argv.slice(2);

const SAMPLE_MS = 10;
/** The delay of the event loop is measured from the second tick of the measurement on. */
const BEFORE_MS = 50;

/** Memory that is not the page cache's. Linux tells; elsewhere 0. */
function anonymousBytes(): number {
  if (process.platform !== 'linux') return 0;
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

const file = await safeOpen(source);
const before = anonymousBytes();
let most = 0;
const sampling = setInterval(() => {
  most = Math.max(most, anonymousBytes() - before);
}, SAMPLE_MS);
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
await setTimeout(BEFORE_MS);
delay.reset();
let progress = 0;
const writer = await createWriter(target, file, {
  fsync: false,
  onProgress: ({ bytes }) => {
    progress = bytes;
  },
});
for (const [name, tensor] of [...file].reverse()) await writer.write(name, tensor);
await writer.finish();
await setTimeout(BEFORE_MS);
delay.disable();
clearInterval(sampling);
console.log(JSON.stringify({ most, longestMs: delay.max / 1e6, progress }));
