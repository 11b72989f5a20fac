/**
 * `npm run bench`: measures the targets of this package and prints which are met.
 *
 * Every driver of a trial runs in a process of its own, one after the other, round by round. The
 * exit code is 0 even when a target is missed; it is not when a driver fails, two of them did not
 * do the same work, or a file was not cold that had to be. Results are written to out/bench.json too;
 * `--publish` puts them among those of other trials in benchmarks/results.json, of which it makes the charts and the
 * figures of README.md and docs/benchmarks.md.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { type Ceiling, measureCeiling } from './harness/ceiling.ts';
import type { Chart } from './harness/chart.ts';
import { notMeasured, WHOLE_TRIAL } from './harness/compare.ts';
import { drawCharts } from './harness/draw.ts';
import { findNodes, findReference, nodeDriver, nodeVersion, ROOT } from './harness/drivers.ts';
import { describeMachine } from './harness/machine.ts';
import { assertComplete, assertFull, PUBLISHED, publish } from './harness/publish.ts';
import {
  formatCeiling,
  formatMachine,
  formatSummary,
  formatTime,
  formatTrial,
} from './harness/report.ts';
import { mergeResults, type Results, readResults, type TrialResult } from './harness/results.ts';
import { NotMeasured, type Setting } from './harness/trial.ts';
import { atEnd } from './harness/undo.ts';
import { TRIALS } from './trials/all.ts';
import { weights } from './trials/files.ts';

const ROUNDS = 10;
const QUICK_ROUNDS = 1;

const CHARTS = join(ROOT, 'benchmarks', 'charts');

interface Options {
  quick: boolean;
  tiny: boolean;
  json: boolean;
  charts?: string | true;
  publish: boolean;
  readme: boolean;
  filter: string[];
  node: string[];
  folder: string;
  output: string;
  rounds?: number;
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new InvalidArgumentError('not a number over 0');
  return value;
}

function trial(text: string, before: string[]): string[] {
  if (TRIALS.some(({ name }) => name === text)) return [...before, text];
  throw new InvalidArgumentError('no trial is called so');
}

function node(text: string, before: string[]): string[] {
  try {
    nodeVersion(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
  return [...before, text];
}

function parseOptions(): Options {
  return new Command('npm run bench --')
    .option('--quick', 'fewer repetitions and smaller files; under two minutes', false)
    .option('--tiny', 'the smallest inputs, once: for tests of the suite, not for figures', false)
    .option('--json', 'print JSON', false)
    .option('--charts [folder]', 'measure nothing; draw the charts of the results')
    .option(
      '--publish',
      'measure, then put charts and figures into README.md and docs/benchmarks.md',
      false,
    )
    .option(
      '--readme',
      'measure nothing; put charts and figures of the results where --publish puts them',
      false,
    )
    .option(
      '--filter <name>',
      `one trial of ${TRIALS.map(({ name }) => name).join(', ')}; may be repeated`,
      trial,
      [] as string[],
    )
    .option(
      '--node <path>',
      'a Node for the trials of views beside this one: of Node 20, and of a later one; may be repeated',
      node,
      [] as string[],
    )
    .option('--rounds <count>', 'repetitions', positive)
    .option('--folder <path>', 'where to put the files: up to 12 GB, and sparse ones', tmpdir())
    .option('--output <path>', 'where the results are', join(ROOT, 'out', 'bench.json'))
    .parse()
    .opts<Options>();
}

function settingOf(options: Options, folder: string): Setting {
  const quick = options.quick || options.tiny;
  return {
    folder,
    rounds: options.rounds ?? (options.tiny ? 1 : quick ? QUICK_ROUNDS : ROUNDS),
    quick,
    tiny: options.tiny,
    nodes: findNodes([process.execPath, ...options.node]),
    ours: nodeDriver('safetensors-mmap', 'safetensors-mmap'),
    jsonParse: nodeDriver('json-parse', 'JSON.parse'),
    reference: findReference(),
    progress: (text) => console.error(`… ${text}`),
    draw: () => {},
  };
}

async function main(options: Options): Promise<void> {
  const { filter } = options;
  const trials = TRIALS.filter(({ name }) => filter.length === 0 || filter.includes(name));
  const folder = mkdtempSync(join(options.folder, 'safetensors-mmap-bench-'));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const setting = settingOf(options, folder);
  const { quick, rounds } = setting;
  const { name, missing } = setting.reference;
  const run = new Date().toISOString();
  const reference = missing === undefined ? name : `${name}, not measured: ${missing}`;
  const machine = describeMachine(folder, reference);
  const print = (text: string) => {
    if (!options.json) console.log(`${text}\n`);
  };
  print(formatMachine(machine));
  setting.progress('the disk');
  const file = weights(setting, 'shared');
  const ceiling: Ceiling | string = await measureCeiling(folder, file, rounds);
  print(formatCeiling(ceiling));
  mkdirSync(dirname(options.output), { recursive: true });
  const results: TrialResult[] = [];
  for (const trial of trials) {
    const charts: Chart[] = [];
    const start = performance.now();
    const draw = (chart: Chart) => charts.push(chart);
    const rows = await trial.run({ ...setting, draw }).catch((error: unknown) => {
      if (!(error instanceof NotMeasured)) throw error;
      const row = { id: WHOLE_TRIAL, what: trial.title, unit: '' } as const;
      return [notMeasured(row, 'all of its targets', error.message)];
    });
    const seconds = (performance.now() - start) / 1000;
    const at = new Date().toISOString();
    results.push({ trial: trial.name, run, machine, at, seconds, quick, ceiling, rows, charts });
    // Now, and not at the end: a run that is interrupted has measured this all the same.
    mergeResults(options.output, { results });
    print(`${formatTrial(trial, rows)}\n${formatTime(seconds)}`);
  }
  if (options.json) console.log(JSON.stringify({ results }, undefined, 2));
  print(formatSummary(results));
}

/** What the caller can do something about is told without a stack. */
function refuse(message: string): never {
  console.error(`error: ${message}`);
  process.exit(1);
}

const options = parseOptions();
const publishing = options.publish || options.readme;
if (options.publish && (options.quick || options.tiny)) {
  refuse('--publish takes a full run, without --quick or --tiny');
}
const drawing = options.charts !== undefined || options.readme;
if (!drawing) await main(options);
if (drawing || publishing) {
  const folder = typeof options.charts === 'string' ? options.charts : CHARTS;
  let results: Results;
  try {
    results = readResults(options.output);
    if (publishing) {
      assertFull(results);
      results = mergeResults(PUBLISHED, results);
      assertComplete(results);
    }
  } catch (error) {
    refuse((error as Error).message);
  }
  const paths = await drawCharts(results, folder);
  if (publishing) paths.push(...publish(results, folder));
  console.error(paths.join('\n'));
}
