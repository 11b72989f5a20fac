// The header's parser against the reference: files from a grammar, and real ones that are changed a
// little. Every difference of verdict or tensors is a finding, but for the rules by which this
// package is stricter.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import {
  byName,
  type Reading,
  sha256,
  stricterRule,
  type Verdict,
  verdictOf,
} from '../support/verdict.ts';
import { root } from '../tools/native-build.ts';
import { HeaderGrammar } from './grammar.ts';
import { Random } from './random.ts';
import { Reference } from './reference.ts';
import { changed, seedFiles } from './seeds.ts';

const BATCH = 200;
const MOST_FINDINGS = 20;

/** How often each verdict was given: a run that sees one kind alone tests little. */
type Counts = Map<string, number>;

function isReading(ours: ReturnType<typeof verdictOf>): ours is Reading {
  return !(ours instanceof Error);
}

/** What is wrong with our verdict; nothing when it is as it should be. */
function differenceOf(file: Buffer, theirs: Verdict, counts: Counts): string | undefined {
  const count = (kind: string) => void counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const expected = theirs.ok ? { ...theirs, tensors: byName(theirs.tensors) } : undefined;
  const ours = verdictOf(file);
  if (isReading(ours)) {
    if (expected === undefined)
      return `it is read, and the reference refuses it: ${JSON.stringify(theirs)}`;
    if (!isDeepStrictEqual(ours, expected)) return `it is read as ${JSON.stringify(ours)}`;
    return count('read');
  }
  if (!/^ERR_SAFETENSORS_/.test(`${ours.code}`)) return `it fails with ${ours.stack}`;
  if (expected === undefined) return count(`refused: ${ours.code}`);
  const rule = stricterRule(ours);
  if (rule === undefined) return `it is refused, and the reference reads it: ${ours}`;
  count(`stricter: ${rule}`);
  if (ours.code !== 'ERR_SAFETENSORS_DUPLICATE_KEY') return;
  // The reference's reading, where that was the only difference.
  const lastWins = verdictOf(file, { duplicates: 'last-wins' });
  if (isReading(lastWins)) {
    if (isDeepStrictEqual(lastWins, expected)) return count('read with duplicates');
    return `with duplicates: 'last-wins' it is read as ${JSON.stringify(lastWins)}`;
  }
  if (stricterRule(lastWins) !== undefined) return count('stricter: two rules');
  return `with duplicates: 'last-wins' it is refused: ${lastWins}`;
}

export interface FuzzResult {
  passed: number;
  failed: number;
}

/** Nothing when there is no reference to compare with. */
export async function fuzzHeader(minutes: number, seed: number): Promise<FuzzResult | undefined> {
  const reference = await Reference.start();
  if (reference === undefined) return undefined;
  const seeds = seedFiles();
  const random = new Random(seed);
  const counts: Counts = new Map();
  const findings = join(root, 'out', 'fuzz', 'findings');
  let files = 0;
  let failed = 0;
  const make = () => {
    if (random.once(2)) return changed(random, random.pick(seeds));
    const file = new HeaderGrammar(random).file();
    return random.once(4) ? changed(random, file) : file;
  };
  const batch = () => {
    const made = Array.from({ length: BATCH }, make);
    return { made, asked: reference.ask(made) };
  };
  const end = performance.now() + minutes * 60_000;
  let next = batch();
  while (performance.now() < end && failed < MOST_FINDINGS) {
    const { made, asked } = next;
    next = batch(); // made and sent while the reference reads the one before
    for (const [i, theirs] of (await asked).entries()) {
      const difference = differenceOf(made[i], theirs, counts);
      files++;
      if (difference === undefined) continue;
      failed++;
      mkdirSync(findings, { recursive: true });
      const path = join(findings, `${sha256(made[i]).slice(0, 16)}.safetensors`);
      writeFileSync(path, made[i]);
      console.log(`FINDING ${path}: ${difference}\n  the reference: ${JSON.stringify(theirs)}`);
    }
    await new Promise(setImmediate);
  }
  await next.asked;
  reference.close();
  for (const [kind, number] of [...counts].sort()) console.log(`${number}`.padStart(9), kind);
  console.log(
    `header: ${files} files compared with the reference, seed ${seed}, ${failed} findings`,
  );
  return { passed: files > 0 && failed === 0 ? 1 : 0, failed: failed + (files === 0 ? 1 : 0) };
}
