import type { ChartPoint } from './chart.ts';

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export type Unit = 'ms' | 'µs' | 'ns' | 'MB' | 'GCs' | '';

/** What was measured of one, round by round. */
export interface Series {
  name: string;
  samples: readonly number[];
  /** Why there are no samples. */
  missing?: string;
}

export type Verdict = 'met' | 'missed' | 'not measured' | 'no target';

/** Which row this is, and of what. */
export interface Row {
  /** The same in every run, whatever the sizes of the files: of all rows of its trial it is the only one. */
  id: string;
  what: string;
  unit: Unit;
}

/** One row of the report: a figure of ours, what it is held against, and what came of it. */
export interface Comparison extends Row {
  /** How many samples each of the figures is of. */
  rounds: number;
  ours?: Spread;
  peer?: { name: string; spread?: Spread };
  /** Of the rounds, each of ours against the peer's of the same round. */
  ratio?: Spread;
  target?: string;
  verdict: Verdict;
  note?: string;
}

export interface RatioTarget {
  /** `faster`: peer / ours. `cost`: ours / peer. */
  ratio: 'faster' | 'cost';
  /** At least, for `faster`; at most, for `cost`; of the median. Without one the ratio is only shown. */
  limit?: number | undefined;
}

export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function spread(samples: readonly number[]): Spread {
  if (samples.length === 0) throw new Error('no samples, and nobody says why');
  return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples) };
}

/** Ours against a peer, both measured in the same rounds; or what is missing, with what there is of ours. */
export function compare(
  row: Row,
  ours: readonly number[],
  peer: Series,
  { ratio: kind, limit }: RatioTarget,
): Comparison {
  const sign = kind === 'faster' ? '≥' : '≤';
  const target =
    limit === undefined
      ? {}
      : { target: `${sign} ${limit}× ${kind === 'faster' ? 'faster' : 'the cost'}` };
  const own = ours.length === 0 ? {} : { ours: spread(ours) };
  if (peer.missing !== undefined) {
    const [verdict, note] = ['not measured' as const, notMeasuredSince(peer.missing)];
    return {
      ...row,
      rounds: ours.length,
      ...own,
      peer: { name: peer.name },
      ...target,
      verdict,
      note,
    };
  }
  if (peer.samples.length !== ours.length) throw new Error(`${row.id}: rounds without a peer`);
  const ratio = spread(
    ours.map((one, round) => {
      const other = peer.samples[round];
      return kind === 'faster' ? other / one : one / other;
    }),
  );
  return {
    ...row,
    rounds: ours.length,
    ...own,
    peer: { name: peer.name, spread: spread(peer.samples) },
    ratio,
    ...target,
    verdict: verdictOf(
      limit === undefined
        ? undefined
        : kind === 'faster'
          ? ratio.median >= limit
          : ratio.median <= limit,
    ),
  };
}

/** A figure of ours against a fixed limit, held against the median; without a limit it is only shown. */
export function atMost(row: Row, ours: readonly number[], limit?: number): Comparison {
  const own = spread(ours);
  const target = limit === undefined ? {} : { target: `≤ ${limit} ${row.unit}`.trim() };
  const verdict = verdictOf(limit === undefined ? undefined : own.median <= limit);
  return { ...row, rounds: ours.length, ours: own, ...target, verdict };
}

/**
 * A figure that must never be over a limit: the worst round is held against it. `beside` is what there is of
 * that with nothing of ours running, but perhaps a peer; it changes no verdict.
 */
export function never(
  row: Row,
  ours: readonly number[],
  limit: number,
  beside?: Series,
): Comparison {
  const own = spread(ours);
  const target = `≤ ${limit} ${row.unit}, always`;
  const peer =
    beside === undefined ? {} : { peer: { name: beside.name, spread: spread(beside.samples) } };
  const verdict = verdictOf(own.max <= limit);
  return { ...row, rounds: ours.length, ours: own, ...peer, target, verdict };
}

/** The id of the row of a trial that could not be measured at all. */
export const WHOLE_TRIAL = 'whole-trial';

export function notMeasured(row: Row, target: string | undefined, reason: string): Comparison {
  const held = target === undefined ? {} : { target };
  return { ...row, rounds: 0, ...held, verdict: 'not measured', note: notMeasuredSince(reason) };
}

/** A point of a chart. */
export function point({ name, samples, missing }: Series, x?: number | string): ChartPoint {
  const at = x === undefined ? {} : { x };
  if (missing !== undefined) return { name, ...at, rounds: 0, missing };
  return { name, ...at, rounds: samples.length, ...spread(samples) };
}

function notMeasuredSince(reason: string): string {
  return `not measured: ${reason}`;
}

function verdictOf(met: boolean | undefined): Verdict {
  if (met === undefined) return 'no target';
  return met ? 'met' : 'missed';
}
