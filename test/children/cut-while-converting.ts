/**
 * Cuts a checkpoint short while it is converted, again and again: at the first progress (`at once`), or some
 * time later, from another thread; prints how the conversions ended. What one has written when it succeeds
 * must be what the checkpoint had, and one that fails must leave nothing behind.
 */
import { copyFileSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { basename, join } from 'node:path';
import { deserialize, SafetensorsError } from 'safetensors-mmap';
import { convertCheckpoint } from 'safetensors-mmap/convert';
import { Cutter } from './support/cutter.js';
import { Outcomes } from './support/outcomes.js';

const [whole, folder, inputName, way, roundsText] = process.argv.slice(2);

/** The structure of the checkpoint is within it; the tensors are not. */
const KEPT_BYTES = 8192;

const checkpoint = join(folder, basename(whole));
const input = join(folder, inputName);
const output = join(folder, 'out', 'model.safetensors');
const before = readdirSync(join(folder, 'out'));

/** Fewer than the fastest conversion takes, and more than the slowest. */
const fewToMany = () => Math.floor(1000 * 10 ** (3.5 * Math.random()));

function assertWhole(): void {
  for (const [, { bytes }] of deserialize(readFileSync(output))) {
    if (bytes.some((byte) => byte !== 1)) throw new Error('what was written is not what was read');
  }
  rmSync(output);
}

function assertError(error: unknown): void {
  const { path, tensor, message } = error as SafetensorsError;
  if (path !== checkpoint) throw new Error(`path: ${path}`, { cause: error });
  // The size or the time may have been seen to be others; or a page was lost.
  if (/ bytes while|rewritten/.test(message)) return;
  // While the system cuts it, pages in front of the first that was met may still be there.
  const at = Number(/, at byte (\d+)$/.exec(message)?.[1]);
  if (!(way === 'at once' ? at === KEPT_BYTES : at >= KEPT_BYTES)) throw new Error(message);
  if (way === 'at once' && tensor !== 'x') throw new Error(`tensor: ${tensor}`, { cause: error });
}

const outcomes = new Outcomes();
const cutter = new Cutter(checkpoint, KEPT_BYTES);
for (let round = 0; round < Number(roundsText); round++) {
  copyFileSync(whole, checkpoint);
  let isCutting = false;
  const onProgress = () => {
    if (isCutting) return;
    isCutting = true;
    if (way === 'at once') truncateSync(checkpoint, KEPT_BYTES);
    else cutter.start(fewToMany());
  };
  const to = inputName === '.' ? join(folder, 'out') : output;
  const converted = await outcomes.note(async () => {
    try {
      return await convertCheckpoint(input, to, { fsync: false, verify: false, onProgress });
    } catch (error) {
      if (error instanceof SafetensorsError) assertError(error);
      throw error;
    }
  });
  if (way !== 'at once') cutter.wait();
  if (converted !== undefined) assertWhole();
  const left = readdirSync(join(folder, 'out')).filter((name) => !before.includes(name));
  if (left.length > 0) throw new Error(`left behind: ${left}`);
}
await cutter.end();
outcomes.print();
