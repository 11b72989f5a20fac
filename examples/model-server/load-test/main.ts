/**
 * `npm run load-test`: what the server does under load, before, while and after its model is swapped; what
 * its workers take of memory; and how long it takes to be ready. All of it for weights that are mapped, and
 * for weights that each worker reads with fs.readFile. `--seconds N` of each phase, `--workers N`,
 * `--rounds N`, `--size wide` for smaller models; `--json` prints all that was measured. Where the machine is busy with
 * other things nothing is measured, but with `--busy`.
 */
import { cpus, totalmem } from 'node:os';
import type { Loading } from '../options.ts';
import { SIZES } from '../sizes.ts';
import { ensureModels, evict } from './models.ts';
import { isBusy, type LoadTestOptions, loadText, otherLoad, parseOptions } from './options.ts';
import { load, loadWhileSwapping, type Phase } from './phases.ts';
import { reportMarkdown } from './report.ts';
import { type Memory, ServerProcess } from './server-process.ts';

/** One round of one way of loading. */
export interface Measured {
  /** Seconds from start to ready, with the file in the page cache, and with none of it there. */
  readonly ready: number;
  readonly readyCold: number;
  readonly before: Phase;
  readonly during: Phase;
  readonly after: Phase;
  /** Seconds of each swap under load. */
  readonly swaps: readonly number[];
  /** Of all workers together, after the first load. */
  readonly memory: Memory;
}

export type Results = Readonly<Record<Loading, readonly Measured[]>>;

const LOADINGS: readonly Loading[] = ['mmap', 'readFile'];

try {
  await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  console.error(`load-test: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}

async function main(options: LoadTestOptions): Promise<void> {
  const { workers, seconds, rounds } = options;
  const others = otherLoad();
  if (isBusy(others) && !options.busy) {
    throw new Error(`${loadText(others)}; --busy measures nevertheless`);
  }
  const models = ensureModels(options.size);
  // In turns: what else the machine does is then shared out.
  const results: Record<Loading, Measured[]> = { mmap: [], readFile: [] };
  for (let round = 1; round <= rounds; round++) {
    for (const loading of LOADINGS) {
      say(`round ${round}, ${loading}`);
      results[loading].push(await measure(loading, models, options));
    }
  }
  const machine = {
    node: process.version,
    cpu: `${cpus().length} × ${cpus()[0].model}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    others: loadText(others),
  };
  if (options.json) {
    console.log(JSON.stringify({ machine, workers, seconds, results }, null, 2));
  } else {
    const conditions = { workers, seconds, rounds, machine: Object.values(machine) };
    console.log(reportMarkdown(results, conditions));
  }
  if (LOADINGS.some((loading) => results[loading].some((one) => failedOf(one) > 0))) {
    throw new Error('requests have failed');
  }
}

async function measure(
  loading: Loading,
  models: readonly string[],
  { workers, seconds, size }: LoadTestOptions,
): Promise<Measured> {
  const words = SIZES[size].vocab_size;
  await evict(models[0]);
  const cold = await ServerProcess.start(models[0], loading, workers);
  await cold.server[Symbol.asyncDispose]();
  const warm = await ServerProcess.start(models[0], loading, workers);
  await using server = warm.server;
  // Not measured: what V8 and ONNX Runtime do at first.
  await load(server, Math.min(seconds, 3), words);
  const before = await load(server, seconds, words);
  const memory = server.memory();
  const { phase: during, swaps } = await loadWhileSwapping(server, models, seconds, words);
  const after = await load(server, seconds, words);
  return { ready: warm.seconds, readyCold: cold.seconds, before, during, after, swaps, memory };
}

function failedOf({ before, during, after }: Measured): number {
  return before.failed + during.failed + after.failed;
}

function say(what: string): void {
  console.error(`load-test: ${what} …`);
}
