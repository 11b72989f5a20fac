/** Reads the tensors of a file with the backend 'read', so many times; prints what the process held. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { safeOpen, safeOpenSync } from 'safetensors-mmap';
import { collectGarbage, holdingsOverRounds } from './support/process.js';

const [path, mode, roundsText] = process.argv.slice(2);
const rounds = Number(roundsText);
const peakBytes = () => process.resourceUsage().maxRSS * 1024;

/** All tensors of one open file, without a turn of the event loop in between. */
function tensors(count: number): number {
  using file = safeOpenSync(path, { backend: 'read' });
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    for (const [, { data }] of file) bytes += data.byteLength;
  }
  return bytes;
}

/** A file each time, which is closed, or left to garbage collection. */
async function files(count: number, closes: boolean): Promise<number> {
  let bytes = 0;
  for (let i = 0; i < count; i++) {
    const file = await safeOpen(path, { backend: 'read' });
    await file.prefetch();
    const [name] = file.keys();
    bytes += (await file.getTensor(name).sliceAsync([[1, null]])).data.byteLength;
    bytes += (await file.residency()).residentBytes;
    if (closes) file.close();
    else if (i % 20 === 0) await collectGarbage();
    await nextTurn();
  }
  return bytes;
}

const run = (count: number) =>
  mode === 'tensors' ? tensors(count) : files(count, mode === 'closed');

const peakBefore = peakBytes();
await run(Math.ceil(rounds / 4));
let bytes = 0;
const held = await holdingsOverRounds(path, rounds, async (count) => {
  bytes += await run(count);
});
console.log(JSON.stringify({ bytes, held, peakGrowth: peakBytes() - peakBefore }));
