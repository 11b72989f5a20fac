import Table from 'cli-table3';
import colours from 'picocolors';
import type { Ceiling } from './ceiling.ts';
import type { Comparison, Spread, Unit, Verdict } from './compare.ts';
import type { Machine } from './machine.ts';
import type { TrialResult } from './results.ts';
import type { Trial } from './trial.ts';

const PAINT: Record<Verdict, (text: string) => string> = {
  met: colours.green,
  missed: colours.red,
  'not measured': colours.yellow,
  'no target': colours.dim,
};

export function formatMachine(machine: Machine): string {
  const { node, system, cpu, cores, memoryGb, fileSystem, readAheadKb } = machine;
  return [
    `Node ${node} · ${system} · ${cpu}, ${cores} cores · ${memoryGb} GB`,
    `Files on ${fileSystem}, read-ahead ${readAheadKb === undefined ? 'unknown' : `${readAheadKb} KB`}`,
    `Kernels for ${machine.kernels} · huge pages: ${machine.hugePages ?? 'none'}`,
    `Reference: ${machine.reference}`,
  ].join('\n');
}

/** What a trial took. */
export function formatTime(seconds: number): string {
  return colours.dim(`${seconds.toFixed(1)} s`);
}

/** The disk's own speed, as who reads a file in order finds it. */
export function formatCeiling(ceiling: Ceiling | string): string {
  if (typeof ceiling === 'string') return `The disk: ${ceiling}`;
  const { size, reader, gigabytesPerSecond } = ceiling;
  return `The disk: ${gigabytesPerSecond.toFixed(2)} GB/s, ${size} read by ${reader}`;
}

export function formatTrial({ title, explains }: Trial, rows: readonly Comparison[]): string {
  const table = new Table({
    head: ['what', 'rounds', 'ours', 'peer', 'ratio (min–max)', 'target', 'verdict'].map(
      colours.bold,
    ),
    style: { head: [], border: [], compact: true },
    wordWrap: true,
    colWidths: [48, 8, 26, 42, 22, 17, 14],
  });
  for (const row of rows) {
    const { what, unit, rounds, ours, peer, ratio, target, verdict, note } = row;
    const label = note === undefined ? what : `${what} (${note})`;
    table.push([
      label,
      rounds === 0 ? '' : rounds,
      ours === undefined ? '' : withSpread(ours, unit),
      peer === undefined ? '' : peerOf(peer, unit),
      ratio === undefined ? '' : withSpread(ratio, '×'),
      target ?? '',
      PAINT[verdict](verdict === 'no target' ? '–' : verdict),
    ]);
  }
  return [colours.bold(title), ...explains.map(colours.dim), table.toString()].join('\n');
}

/** How many targets were met, missed and not measured. */
export function formatSummary(results: readonly TrialResult[]): string {
  const verdicts = results.flatMap(({ rows }) => rows.map(({ verdict }) => verdict));
  return (['met', 'missed', 'not measured'] as const)
    .map((verdict) => PAINT[verdict](`${verdicts.filter((v) => v === verdict).length} ${verdict}`))
    .join(' · ');
}

function peerOf({ name, spread }: NonNullable<Comparison['peer']>, unit: Unit): string {
  return `${spread === undefined ? 'missing' : withSpread(spread, unit)}: ${name}`;
}

function withSpread({ median, min, max }: Spread, unit: Unit | '×'): string {
  const value = `${number(median)}${unit === '×' ? '' : ' '}${unit}`;
  return Object.is(min, max) ? value : `${value} (${number(min)}–${number(max)})`;
}

function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Number.isInteger(value) || Math.abs(value) >= 100) return Math.round(value).toString();
  return value.toPrecision(3);
}
