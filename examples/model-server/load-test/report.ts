import type { Measured, Results } from './main.ts';
import type { Phase } from './phases.ts';

interface Conditions {
  readonly workers: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly machine: readonly string[];
}

/** What was measured, as the table of a README. */
export function reportMarkdown(results: Results, conditions: Conditions): string {
  const { workers, seconds, rounds, machine } = conditions;
  const both = (title: string, cell: (rounds: readonly Measured[]) => string) =>
    `| ${title} | ${cell(results.mmap)} | ${cell(results.readFile)} |`;
  const middle = (title: string, value: (one: Measured) => number, show: (n: number) => string) =>
    both(title, (rounds) => show(median(rounds.map(value))));
  const phase = (title: string, of: (one: Measured) => Phase) =>
    both(title, (rounds) => {
      const phases = rounds.map(of);
      const throughput = median(phases.map((one) => one.throughput)).toFixed(0);
      const p99 = median(phases.map((one) => one.p99)).toFixed(0);
      const failed = phases.reduce((sum, one) => sum + one.failed, 0);
      return `${throughput} / ${p99} ms / ${failed}`;
    });
  return [
    `| ${workers} workers | mapped | \`fs.readFile\` in each |`,
    '| --- | ---: | ---: |',
    middle('from start to ready', ({ ready }) => ready, inSeconds),
    middle('… with nothing of the file in memory', ({ readyCold }) => readyCold, inSeconds),
    middle('memory of all workers (sum of PSS)', ({ memory }) => memory.pss, inMegabytes),
    middle('… of that, of their own', ({ memory }) => memory.anonymous, inMegabytes),
    phase('requests a second / 99th percentile / failed: before', ({ before }) => before),
    phase('… while one swap follows another', ({ during }) => during),
    phase('… after', ({ after }) => after),
    both('a swap under that load', (rounds) => {
      const swaps = rounds.flatMap((one) => one.swaps);
      return `${inSeconds(median(swaps))} (${swaps.length} swaps)`;
    }),
    '',
    `Medians of ${rounds} rounds, ${seconds} s each phase; ${machine.join(', ')}.`,
  ].join('\n');
}

function inSeconds(seconds: number): string {
  return `${seconds.toFixed(2)} s`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function inMegabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6).toLocaleString('en')} MB`;
}
