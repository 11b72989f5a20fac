import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');

/** One full garbage collection. */
export const collectGarbage = runInNewContext('gc') as () => void;

/** Objects of about a hundred bytes each, until the heap has so many megabytes. */
export function fillHeap(megabytes: number): object[] {
  const objects: object[] = [];
  while (megabytes > 0 && process.memoryUsage().heapUsed < megabytes * 1e6) {
    for (let i = 0; i < 10_000; i++) objects.push({ i, text: `object ${i}`, list: [i, i + 0.5] });
  }
  return objects;
}
