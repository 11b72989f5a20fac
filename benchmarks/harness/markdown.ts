import { type Comparison, type Spread, type Unit, WHOLE_TRIAL } from './compare.ts';
import { FIGURES, type Figure } from './figures.ts';
import type { Machine } from './machine.ts';
import type { Results, TrialResult } from './results.ts';

/** A figure, and its row of the results. */
interface Found {
  figure: Figure;
  row: Comparison;
}

/** How a table shows a figure. */
type Show = (value: Spread, unit: Unit | '×') => string;

/** Figures that the results have nothing for: not measured yet, or called something else by now. */
export function withoutResults(results: Results): string[] {
  const figures = FIGURES.flatMap(([, rows]) => rows);
  return figures
    .filter((figure) => find(results, figure) === undefined)
    .map(({ trial, id }) => `${trial}: ${id}`);
}

/** Markdown: all tables, with the spread of each figure, and why targets are missed. */
export function allFigures(results: Results): string {
  const usual = usualRounds(results);
  const tables = FIGURES.flatMap(([heading, figures]) => {
    const found = findAll(results, figures);
    return [tableOf(heading, found, usual, withSpread), reasonsOf(found)];
  });
  return [conditionsOf(results, usual), peersOf(results), ...tables].filter(Boolean).join('\n\n');
}

/** Markdown: medians of those figures of which it is said that they are headlines. */
export function headlines(results: Results): string {
  const usual = usualRounds(results);
  const figures = FIGURES.flatMap(([, rows]) =>
    rows.flatMap(({ headline, ...figure }) =>
      headline === undefined ? [] : { ...figure, label: headline },
    ),
  );
  const table = tableOf('', findAll(results, figures), usual, ({ median: value }, unit) =>
    quantity(value, unit),
  );
  return [table, conditionsOf(results, usual)].filter(Boolean).join('\n\n');
}

function find({ results }: Results, { trial, id }: Figure): Comparison | undefined {
  const rows = results.find((result) => result.trial === trial)?.rows ?? [];
  return rows.find((row) => row.id === id) ?? rows.find((row) => row.id === WHOLE_TRIAL);
}

/** What the results do not have is left out, what was not measured is not. */
function findAll(results: Results, figures: readonly Figure[]): Found[] {
  return figures.flatMap((figure) => {
    const row = find(results, figure);
    return row === undefined ? [] : { figure, row };
  });
}

function tableOf(heading: string, found: readonly Found[], usual: number, show: Show): string {
  if (found.length === 0) return '';
  const rows = found.map((one) => rowOf(one, usual, show));
  return [`| ${heading} | ours | peer | target |`, '| --- | ---: | ---: | --- |', ...rows].join(
    '\n',
  );
}

function rowOf({ figure, row }: Found, usual: number, show: Show): string {
  const { unit, rounds, ours, peer, ratio, target, verdict, note } = row;
  const counted = rounds === usual || rounds === 0 ? '' : ` (${countOf(rounds)})`;
  const missing = verdict === 'not measured';
  // Of ours there may be a figure all the same.
  const own = ours === undefined ? (note ?? '') : show(ours, unit);
  const times = ratio === undefined ? '' : `, ${show(ratio, '×')}`;
  const reason = ours === undefined ? 'missing' : `missing, ${note}`;
  const other = peer?.spread === undefined ? reason : `${show(peer.spread, unit)}${times}`;
  const against = peer === undefined ? '' : other;
  const told = verdict === 'missed' ? '**missed**' : verdict;
  const held = target === undefined ? (missing ? told : '') : `${target}: ${told}`;
  return `| ${figure.label}${counted} | ${own} | ${against} | ${held} |`;
}

/** Why targets of a table are missed, each reason once. */
function reasonsOf(found: readonly Found[]): string {
  const reasons = new Map<string, string[]>();
  for (const { figure, row } of found) {
    if (row.verdict !== 'missed' || figure.missed === undefined) continue;
    reasons.set(figure.missed, [...(reasons.get(figure.missed) ?? []), figure.label]);
  }
  return Array.from(
    reasons,
    ([reason, labels]) => `- Missed (${labels.join('; ')}): ${reason}`,
  ).join('\n');
}

/** Rounds that most rows are of. */
function usualRounds({ results }: Results): number {
  const counts = new Map<number, number>();
  for (const { rounds } of results.flatMap(({ rows }) => rows)) {
    if (rounds > 0) counts.set(rounds, (counts.get(rounds) ?? 0) + 1);
  }
  const [most] = [...counts].toSorted(([, a], [, b]) => b - a);
  return most?.[0] ?? 0;
}

function countOf(rounds: number): string {
  return rounds === 1 ? '1 round' : `${rounds} rounds`;
}

/** What they were measured on, and when: a line for each run, below what it ran on. */
function conditionsOf({ results }: Results, usual: number): string {
  const runs = [...groupBy(results, ({ run }) => run).values()];
  const machines = groupBy(runs, ([{ machine }]) => machineOf(machine));
  const lines = Array.from(machines, ([machine, itsRuns]) => {
    const told = itsRuns.map((ofRun) => {
      const which = runs.length === 1 ? 'All' : ofRun.map(({ trial }) => `\`${trial}\``).join(', ');
      return `${which} in one run, of ${ofRun[0].run.slice(0, 16).replace('T', ' ')} UTC${diskOf(ofRun)}.`;
    });
    return `${machine} ${told.join(' ')}`;
  });
  return [
    `Medians of ${countOf(usual)}, unless a row says of how many; ratios are medians of those of each round, not ` +
      'quotients of the medians beside them.',
    ...lines,
  ].join(machines.size === 1 ? ' ' : '\n\n');
}

function machineOf(machine: Machine): string {
  const { node, system, cores, memoryGb, fileSystem, readAheadKb, reference } = machine;
  return (
    `Node ${node}, ${system}, ${cores} cores (kernels for ${machine.kernels}), ${memoryGb} GB of memory, huge pages ` +
    `${machine.hugePages ?? 'unknown'}${machine.returnsFreeMemory ? ', free memory returned to a host' : ''}; ` +
    `${fileSystem} with a read-ahead of ${readAheadKb ?? '?'} KB. The reference is ${reference}.`
  );
}

function groupBy<Value>(values: readonly Value[], keyOf: (value: Value) => string) {
  const groups = new Map<string, Value[]>();
  for (const value of values) {
    const key = keyOf(value);
    groups.set(key, [...(groups.get(key) ?? []), value]);
  }
  return groups;
}

function diskOf(results: readonly TrialResult[]): string {
  const { ceiling } = results[0];
  if (typeof ceiling === 'string') return `; the disk: ${ceiling}`;
  return `, in which ${ceiling.reader} reads the disk at ${ceiling.gigabytesPerSecond.toFixed(2)} GB/s`;
}

/** By their names and versions: labels have none. */
function peersOf({ results }: Results): string {
  const touched = results.find(({ trial }) => trial === 'touch')?.rows ?? [];
  const names = touched.flatMap(({ peer }) => peer?.name ?? []);
  const versioned = [...new Set(names)].filter((name) => /\d+\.\d+\.\d+/.test(name));
  return versioned.length === 0 ? '' : `Peers: ${versioned.join('; ')}.`;
}

function withSpread({ median: middle, min, max }: Spread, unit: Unit | '×'): string {
  const value = quantity(middle, unit);
  return Object.is(min, max) ? value : `${value} (${number(min)}–${number(max)})`;
}

function quantity(value: number, unit: Unit | '×'): string {
  return `${number(value)}${unit === '' || unit === '×' ? unit : ` ${unit}`}`;
}

function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en');
  if (Number.isInteger(value) || Math.abs(value) >= 100) return String(Math.round(value));
  return value.toPrecision(3);
}
