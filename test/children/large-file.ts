/** Opens a file, takes the views it is told to; prints garbage collections and memory as it goes. */
import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { safeOpenSync } from 'safetensors-mmap';

const [path, ...names] = process.argv.slice(2);

interface GarbageCollection extends PerformanceEntry {
  detail: { kind: number };
}

let fullCollections = 0;
const observer = new PerformanceObserver((list) => {
  for (const { detail } of list.getEntries() as GarbageCollection[]) {
    if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) fullCollections++;
  }
});
observer.observe({ entryTypes: ['gc'] });

const before = process.memoryUsage().external;
const file = safeOpenSync(path);
const openedExternal = process.memoryUsage().external - before;
const last: string[] = [];
for (const name of names) last.push(String(file.getTensor(name).data.at(-1)));
const viewedExternal = process.memoryUsage().external - before;
await sleep(50); // the observer reports from a later turn
console.log(JSON.stringify({ openedExternal, viewedExternal, fullCollections, last }));
