/**
 * `npm run demo`: writes a model of GPT-2's size once, opens it, shows what is in it, and compares
 * this package with reading the file. `--json` and `--markdown` print the comparison alone.
 */
import { parseArgs } from 'node:util';
import colors from 'picocolors';
import { safeOpen } from 'safetensors-mmap';
import { cacheFolder, findModel, writeToCache } from './cache.ts';
import { COMPARISON_STEPS, type Comparison, compareDrivers } from './compare.ts';
import { gpt2 } from './gpt2.ts';
import { thisMachine } from './machine.ts';
import { showProgress } from './progress.ts';
import {
  comparisonMarkdown,
  comparisonTable,
  describeMachine,
  heading,
  tensorTable,
  valueTable,
} from './report.ts';
import { planModel } from './write-model.ts';

/** As shells report Ctrl-C. */
const INTERRUPTED = 130;

const interruption = new AbortController();
const { signal } = interruption;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(name, () => interruption.abort());
}

try {
  await main();
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  console.error(`demo: ${signal.aborted ? 'interrupted' : message}`);
  process.exitCode = signal.aborted ? INTERRUPTED : 1;
}

async function main(): Promise<void> {
  const { json, markdown } = parseArgs({
    options: { json: { type: 'boolean' }, markdown: { type: 'boolean' } },
  }).values;
  const path = await ensureModel();
  if (!json && !markdown) await showModel(path);
  const comparison = await compare(path);
  if (json) console.log(JSON.stringify({ machine: thisMachine(), path, ...comparison }, null, 2));
  else if (markdown) console.log(comparisonMarkdown(comparison, thisMachine()));
  else showComparison(comparison);
}

/** The path of the model, which is written if it is not in the cache. */
async function ensureModel(): Promise<string> {
  const plan = planModel(gpt2());
  const { path, found } = await findModel(cacheFolder(), plan);
  if (found) return path;
  const megabytes = (bytes: number) => Math.round(bytes / 1e6);
  const total = megabytes(plan.byteLength);
  const progress = showProgress(`writing ${total} MB, once`, total, ' MB');
  try {
    const onProgress = (bytes: number) => progress.update(megabytes(bytes));
    await writeToCache(path, plan, { signal, onProgress });
  } finally {
    progress.stop();
  }
  return path;
}

async function showModel(path: string): Promise<void> {
  using file = await safeOpen(path);
  const size = `${file.size} tensors, ${Math.round(file.byteLength / 1e6)} MB`;
  console.log(heading(`GPT-2's names and shapes, seeded values: ${size}`));
  console.log(`  ${colors.dim(path)}\n`);
  console.log(tensorTable(file));
  console.log(heading('A few values, read in place'));
  console.log(valueTable(file));
}

async function compare(path: string): Promise<Comparison> {
  const progress = showProgress('measuring', COMPARISON_STEPS);
  try {
    return await compareDrivers(path, { signal, onStep: () => progress.increment() });
  } finally {
    progress.stop();
  }
}

function showComparison(comparison: Comparison): void {
  const { rounds, processesTogether, checksum } = comparison;
  console.log(heading('This package, and fs.readFile with typed arrays over its buffer'));
  console.log(comparisonTable(comparison));
  const notes = `
  Times run from the start of opening, when all modules are loaded, the native addon
  with them. Medians of ${rounds} rounds, each in its own process; all read the same bytes
  (checksum ${checksum}). The file is in the page cache; a cold one adds the disk's time.

  RSS and PSS of one process count the pages of the file that it has mapped.
  The kernel keeps those once for all processes, and drops them when memory is
  short; what a process has read into memory of its own, each has again. Hence
  the last row: the sum over ${processesTogether} processes that hold the whole model at once.

  ${describeMachine(thisMachine()).join('\n  ')}
`;
  console.log(colors.dim(notes));
}
