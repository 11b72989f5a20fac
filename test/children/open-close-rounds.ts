/** Opens, reads and closes a file so many times; prints what the process holds before, meanwhile and after. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { safeOpen, safeOpenSync } from 'safetensors-mmap';
import { holdingsOverRounds } from './support/process.js';

const [path, tensor, roundsText, mode] = process.argv.slice(2);
const rounds = Number(roundsText);

const ROUNDS_PER_TURN = 100;

async function round(): Promise<number> {
  const file = mode === 'async' ? await safeOpen(path) : safeOpenSync(path);
  const { data } = file.getTensor(tensor);
  const value = Number(data[0]);
  file.close();
  if (data.length !== 0) throw new Error('closing left a view with bytes');
  return value;
}

/** Without a turn of the event loop between two rounds. */
function roundsAtOnce(count: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++) {
    using file = safeOpenSync(path);
    sum += Number(file.getTensor(tensor).data[0]);
  }
  return sum;
}

async function run(count: number): Promise<number> {
  if (mode === 'at-once') return roundsAtOnce(count);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += await round();
    if (i % ROUNDS_PER_TURN === 0) await nextTurn();
  }
  return sum;
}

// The first rounds warm up what stays: compiled code, heap, the allocator's arenas. Those at once
// leave Node with a finalizer to run for each, and its queue stays as long as it has ever been.
await run(mode === 'at-once' ? rounds : rounds / 10);
let sum = 0;
const held = await holdingsOverRounds(path, rounds, async (count) => {
  sum += await run(count);
});
console.log(JSON.stringify({ sum, held }));
