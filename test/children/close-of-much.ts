/**
 * Closes a file that is all in memory, several times; prints the milliseconds of each `close`, and of the mappings of
 * the file how many there are in the end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { safeOpen } from 'safetensors-mmap';
import { holdings } from './support/process.js';

const [path, roundsText] = process.argv.slice(2);
const MOST_LOOKS = 1000;
const PAUSE_MS = 10;

const times: number[] = [];
for (let round = 0; round < Number(roundsText); round++) {
  const file = await safeOpen(path);
  await file.prefetch();
  const { data } = file.getTensor('t');
  const begin = performance.now();
  file.close();
  times.push(performance.now() - begin);
  if (data.length > 0) throw new Error('close() has left a view');
}
for (let looks = 0; holdings(path).mappings && looks < MOST_LOOKS; looks++) await sleep(PAUSE_MS);
console.log(JSON.stringify({ times, mappings: holdings(path).mappings }));
