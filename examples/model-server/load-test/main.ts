/**
 * `npm run load-test`: what the server does under load, before, while and after its model is swapped; what
 * its workers take of memory; and how long it takes to be ready. All of it for weights that are mapped, and
 * for weights that each worker reads with fs.readFile. `--seconds N` of each phase, `--workers N`,
 * `--rounds N`, `--size wide` for smaller models; `--json` prints all that was measured.
 */
import { cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import type { Loading } from '../options.ts';
import { ensureModels, evict } from './models.ts';
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

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    size: { type: 'string', default: 'large' },
    workers: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean' },
  },
});
const [seconds, workers, rounds] = [values.seconds, values.workers, values.rounds].map(Number);
const models = ensureModels(values.size);
const [{ model: cpu }] = cpus();
// What else the machine is doing: with much of that, times tell little.
const [others] = loadavg();
// In turns: what else the machine does is then shared out.
const results: Record<Loading, Measured[]> = { mmap: [], readFile: [] };
for (let round = 1; round <= rounds; round++) {
  for (const loading of LOADINGS) {
    say(`round ${round}, ${loading}`);
    results[loading].push(await measure(loading));
  }
}

const machine = {
  node: process.version,
  cpu: `${cpus().length} × ${cpu}`,
  memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  others: `load average ${others.toFixed(1)} before`,
};
if (values.json) console.log(JSON.stringify({ machine, workers, seconds, results }, null, 2));
else
  console.log(
    reportMarkdown(results, { workers, seconds, rounds, machine: Object.values(machine) }),
  );
if (LOADINGS.some((loading) => results[loading].some((one) => failedOf(one) > 0))) {
  console.error('load-test: requests have failed');
  process.exitCode = 1;
}

async function measure(loading: Loading): Promise<Measured> {
  await evict(models[0]);
  const cold = await ServerProcess.start(models[0], loading, workers);
  await cold.server[Symbol.asyncDispose]();
  const warm = await ServerProcess.start(models[0], loading, workers);
  await using server = warm.server;
  // Not measured: what V8 and ONNX Runtime do at first.
  await load(server, Math.min(seconds, 3));
  const before = await load(server, seconds);
  const memory = server.memory();
  const { phase: during, swaps } = await loadWhileSwapping(server, models, seconds);
  const after = await load(server, seconds);
  return { ready: warm.seconds, readyCold: cold.seconds, before, during, after, swaps, memory };
}

function failedOf({ before, during, after }: Measured): number {
  return before.failed + during.failed + after.failed;
}

function say(what: string): void {
  console.error(`load-test: ${what} …`);
}
