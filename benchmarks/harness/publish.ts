import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Comparison, Unit } from './compare.ts';
import { ROOT } from './drivers.ts';
import { FIGURES, type Figure } from './figures.ts';
import type { Results } from './results.ts';

const README = join(ROOT, 'README.md');
const PAGE = join(ROOT, 'docs', 'benchmarks.md');
const BEGIN = '<!-- figures: npm run bench -- --publish -->';
const END = '<!-- end of figures -->';

/** Labels of the rows that results have nothing for: not measured yet, or called something else by now. */
export function withoutResults(results: Results): string[] {
  const rows = FIGURES.flatMap(([, figures]) => figures);
  return rows
    .filter((row) => find(results, row) === undefined)
    .map(({ trial, label }) => `${trial}: ${label}`);
}

/**
 * Puts all figures of results into docs/benchmarks.md, and the most telling ones, with the charts, into
 * the README; returns the paths of both.
 */
export function publish(results: Results, charts: readonly string[]): string[] {
  const images = charts.map((path) => `![](${relative(ROOT, path)})`).join('\n');
  const put = (path: string, figures: string) => {
    writeFileSync(path, withFigures(readFileSync(path, 'utf8'), figures));
    return path;
  };
  return [
    put(PAGE, allFigures(results)),
    put(README, [headlines(results), images].filter(Boolean).join('\n\n')),
  ];
}

/** Markdown, with figures between its marks. */
export function withFigures(text: string, figures: string): string {
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`no place for figures: ${BEGIN} … ${END}`);
  return `${before}${BEGIN}\n${figures}\n${END}${after}`;
}

/** Markdown. A row that the results do not have is left out, one that was not measured is not. */
export function allFigures(results: Results): string {
  const tables = FIGURES.map(([heading, figures]) => tableOf(results, heading, figures));
  return [machineOf(results), ...tables.filter(Boolean)].join('\n\n');
}

/** Markdown, as that of all figures: those of which it is said that they are headlines. */
export function headlines(results: Results): string {
  const rows = FIGURES.flatMap(([, figures]) =>
    figures.flatMap(({ headline, ...figure }) =>
      headline === undefined ? [] : { ...figure, label: headline },
    ),
  );
  return [tableOf(results, '', rows), machineOf(results)].filter(Boolean).join('\n\n');
}

function tableOf(results: Results, heading: string, figures: readonly Figure[]): string {
  const rows = figures.flatMap((figure) => rowOf(find(results, figure), figure.label));
  if (rows.length === 0) return '';
  return [`| ${heading} | ours | peer | target |`, '| --- | ---: | ---: | --- |', ...rows].join(
    '\n',
  );
}

function find({ results }: Results, { trial, what, peer }: Figure): Comparison | undefined {
  const rows = results.find((result) => result.trial === trial)?.rows ?? [];
  const meant = rows.filter(
    (row) => what.test(row.what) && (peer === undefined || peer.test(row.peer?.name ?? row.what)),
  );
  // Of several, the one that a target is held against.
  return meant.find(({ target }) => target !== undefined) ?? meant[0];
}

function rowOf(row: Comparison | undefined, label: string): string[] {
  if (row === undefined) return [];
  const { unit, ours, peer, ratio, target, verdict, note } = row;
  const own = ours === undefined ? (note ?? '') : quantity(ours.median, unit);
  const times = ratio === undefined ? '' : `, ${number(ratio.median)}×`;
  const other = peer === undefined ? '' : `${quantity(peer.median, unit)}${times}`;
  const told = verdict === 'missed' ? '**missed**' : verdict;
  const held = target === undefined ? '' : `${target}: ${told}`;
  return [`| ${label} | ${own} | ${other} | ${held} |`];
}

function machineOf({ machine, results }: Results): string {
  const { node, system, cores, memoryGb, fileSystem, readAheadKb, reference } = machine;
  const ceiling = results.map((result) => result.ceiling).find((one) => typeof one !== 'string');
  const disk =
    typeof ceiling === 'object'
      ? `, which ${ceiling.reader} reads at ${ceiling.gigabytesPerSecond.toFixed(2)} GB/s`
      : '';
  return (
    `Medians of up to ${Math.max(...results.map(({ rounds }) => rounds))} rounds; Node ${node}, ${system}, ` +
    `${cores} cores, ${memoryGb} GB of memory; ${fileSystem} with a read-ahead of ${readAheadKb ?? '?'} KB${disk}. ` +
    `The reference is ${reference}.`
  );
}

function quantity(value: number, unit: Unit): string {
  return `${number(value)}${unit === '' ? '' : ` ${unit}`}`;
}

function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en');
  if (Number.isInteger(value) || Math.abs(value) >= 100) return String(Math.round(value));
  return value.toPrecision(3);
}
