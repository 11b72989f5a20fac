import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Comparison, Unit } from './compare.ts';
import { ROOT } from './drivers.ts';
import { FIGURES, type Figure } from './figures.ts';
import type { Results } from './results.ts';

const README = join(ROOT, 'README.md');
const BEGIN = '<!-- figures: npm run bench -- --publish -->';
const END = '<!-- end of figures -->';

/** Labels of the rows that results have nothing for: not measured yet, or called something else by now. */
export function withoutResults(results: Results): string[] {
  const rows = FIGURES.flatMap(([, figures]) => figures);
  return rows
    .filter((row) => find(results, row) === undefined)
    .map(({ trial, label }) => `${trial}: ${label}`);
}

/** Puts the figures of results, and the charts below them, into the README; returns its path. */
export function writeFigures(results: Results, charts: readonly string[]): string {
  writeFileSync(README, withFigures(readFileSync(README, 'utf8'), results, charts));
  return README;
}

/** Markdown, with the figures between its marks. */
export function withFigures(text: string, results: Results, charts: readonly string[]): string {
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`no place for figures: ${BEGIN} … ${END}`);
  return `${before}${BEGIN}\n${figuresOf(results, charts)}\n${END}${after}`;
}

/** Markdown. A row that the results do not have is left out, one that was not measured is not. */
function figuresOf(results: Results, charts: readonly string[]): string {
  const tables = FIGURES.map(([heading, figures]) => {
    const rows = figures.flatMap((figure) => rowOf(find(results, figure), figure.label));
    return rows.length === 0
      ? ''
      : [`| ${heading} | ours | peer | target |`, '| --- | ---: | ---: | --- |', ...rows].join(
          '\n',
        );
  });
  const images = charts.map((path) => `![](${relative(ROOT, path)})`);
  return [machineOf(results), ...tables.filter(Boolean), images.join('\n')].join('\n\n');
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
