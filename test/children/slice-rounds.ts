/** Slices a tensor so many times; prints what the process holds before, meanwhile and after. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { safeOpenSync } from 'safetensors-mmap';
import { holdingsOverRounds } from './support/process.js';

const [path, roundsText, mode] = process.argv.slice(2);
const rounds = Number(roundsText);
const file = safeOpenSync(path);
const tensor = file.getTensor('x');
const [, columns] = tensor.shape;
const peakBytes = () => process.resourceUsage().maxRSS * 1024;

async function run(count: number): Promise<number> {
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const start = i % (columns / 2);
    const range = [start, start + columns / 2] as const;
    const slice =
      mode === 'async' ? await tensor.sliceAsync([null, range]) : tensor.slice(null, range);
    bytes += slice.data.byteLength;
    if (mode === 'turns' && i % 16 === 0) await nextTurn();
    // A view of the copy alone keeps it.
    if (i % 7 === 0) bytes += slice.slice(0).bytes.length * 0;
  }
  return bytes;
}

await run(Math.ceil(rounds / 4));
const peakBefore = peakBytes();
let bytes = 0;
const held = await holdingsOverRounds(path, rounds, async (count) => {
  bytes += await run(count);
});
console.log(JSON.stringify({ bytes, held, peakGrowth: peakBytes() - peakBefore }));
