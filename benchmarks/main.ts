/**
 * `npm run bench`: measures the targets of this package and prints which are met.
 *
 * Every driver of a trial runs in a process of its own, one after the other, round by round. The
 * exit code is 0 even when a target is missed; it is not when a driver fails or two of them did not
 * do the same work. Results are written to out/bench.json too.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { notMeasured } from './harness/compare.ts';
import { findReference, nodeDriver, nodeOfVersion, ROOT } from './harness/drivers.ts';
import { describeMachine } from './harness/machine.ts';
import { formatMachine, formatSummary, formatTrial, type TrialResult } from './harness/report.ts';
import { NotMeasured, type Setting } from './harness/trial.ts';
import { TRIALS } from './trials/all.ts';

const ROUNDS = 10;
const QUICK_ROUNDS = 3;
const RESULTS = join(ROOT, 'out', 'bench.json');

interface Options {
  quick: boolean;
  json: boolean;
  filter?: string;
  node: string[];
  folder: string;
  rounds?: number;
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('not a number over 0');
  return value;
}

function parseOptions(): Options {
  return new Command('npm run bench --')
    .option('--quick', 'fewer repetitions; under two minutes', false)
    .option('--json', 'print JSON', false)
    .option('--filter <name>', `one trial of ${TRIALS.map(({ name }) => name).join(', ')}`)
    .option(
      '--node <path>',
      'another Node for the trials of views; may be repeated',
      (path: string, paths: string[]) => [...paths, path],
      [] as string[],
    )
    .option('--rounds <count>', 'repetitions', positive)
    .option('--folder <path>', 'where to put the files (sparse, 685 GB)', tmpdir())
    .parse()
    .opts<Options>();
}

async function main(options: Options): Promise<void> {
  const trials = TRIALS.filter(({ name }) => (options.filter ?? name) === name);
  if (trials.length === 0) throw new Error(`no trial is called ${options.filter}`);
  const folder = mkdtempSync(join(options.folder, 'safetensors-mmap-bench-'));
  const cleanUp = () => rmSync(folder, { recursive: true, force: true });
  process.once('SIGINT', () => {
    cleanUp();
    process.exit(130);
  });
  const reference = findReference();
  const setting: Setting = {
    folder,
    rounds: options.rounds ?? (options.quick ? QUICK_ROUNDS : ROUNDS),
    quick: options.quick,
    nodes: [process.execPath, ...options.node].map(nodeOfVersion),
    ours: nodeDriver('safetensors-mmap', 'safetensors-mmap'),
    jsonParse: nodeDriver('json-parse', 'JSON.parse'),
    reference,
    progress: (text) => console.error(`… ${text}`),
  };
  const machine = describeMachine(
    folder,
    reference instanceof NotMeasured ? `not measured: ${reference.message}` : reference.name,
  );
  const print = (text: string) => {
    if (!options.json) console.log(`${text}\n`);
  };
  print(formatMachine(machine));
  const results: TrialResult[] = [];
  try {
    for (const trial of trials) {
      const rows = await trial.run(setting).catch((error: unknown) => {
        if (!(error instanceof NotMeasured)) throw error;
        return [notMeasured(trial.title, 'all of its targets', error.message)];
      });
      results.push({ trial: trial.name, rows });
      print(formatTrial(trial, rows));
    }
  } finally {
    cleanUp();
  }
  const report = JSON.stringify({ machine, quick: options.quick, results }, undefined, 2);
  writeFileSync(RESULTS, `${report}\n`);
  if (options.json) console.log(report);
  print(formatSummary(results));
}

await main(parseOptions());
