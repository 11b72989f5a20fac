/** Closes files while they are being saved; prints how the savings ended, and what is held after. */
import { createHash } from 'node:crypto';
import { createReadStream, readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { safeOpen, saveFile } from 'safetensors-mmap';
import { collectGarbage, holdings } from './support/process.js';

const [source, target, roundsText, mostMs] = process.argv.slice(2);
const outcomes: Record<string, number> = {};

async function hashOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

async function round(wait: number): Promise<string> {
  const file = await safeOpen(source);
  const saving = saveFile(file, target, { fsync: false }).then(
    () => 'saved',
    (error) => error.code ?? String(error),
  );
  await sleep(wait);
  file.close();
  // Maps other memory to where the file was, for a write that comes too late to find.
  const others = await Promise.all([safeOpen(source), safeOpen(source)]);
  for (const other of others) other.close();
  return saving;
}

const expected = await hashOf(source);
for (let i = 0; i < Number(roundsText); i++) {
  const outcome = await round(Math.random() * Number(mostMs));
  outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  if (outcome === 'saved' && (await hashOf(target)) !== expected) outcomes.wrong = 1;
}
await collectGarbage();
const left = readdirSync(dirname(target)).filter((name) => name.endsWith('.tmp'));
console.log(JSON.stringify({ outcomes, left, held: holdings(source) }));
