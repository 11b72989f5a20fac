import type { ChartPoint } from './chart.ts';

export interface Spread {
  median: number;
  min: number;
  max: number;
}

export type Unit = 'ms' | 'µs' | 'ns' | 'MB' | 'GCs' | '';

export interface Series {
  name: string;
  samples: readonly number[];
}

export type Verdict = 'met' | 'missed' | 'not measured' | 'no target';

/** One row of the report: a figure of ours, what it is held against, and what came of it. */
export interface Comparison {
  what: string;
  unit: Unit;
  ours?: Spread;
  peer?: Spread & { name: string };
  /** Of the rounds, each of ours against the peer's of the same round. */
  ratio?: Spread;
  target?: string;
  verdict: Verdict;
  note?: string;
}

export interface RatioTarget {
  /** `faster`: peer / ours. `cost`: ours / peer. */
  ratio: 'faster' | 'cost';
  /** At least, for `faster`; at most, for `cost`. Without one the ratio is only shown. */
  limit?: number;
}

export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function spread(samples: readonly number[]): Spread {
  return { median: median(samples), min: Math.min(...samples), max: Math.max(...samples) };
}

/** Ours against a peer, both measured in the same rounds. */
export function compare(
  what: string,
  unit: Unit,
  ours: readonly number[],
  peer: Series,
  { ratio: kind, limit }: RatioTarget,
): Comparison {
  const ratio = spread(
    ours.map((own, round) => {
      const other = peer.samples[round];
      return kind === 'faster' ? other / own : own / other;
    }),
  );
  const row: Comparison = {
    what,
    unit,
    ours: spread(ours),
    peer: { name: peer.name, ...spread(peer.samples) },
    ratio,
    verdict: 'no target',
  };
  if (limit === undefined) return row;
  const met = kind === 'faster' ? ratio.median >= limit : ratio.median <= limit;
  const target = kind === 'faster' ? `≥ ${limit}× faster` : `≤ ${limit}× the cost`;
  return { ...row, target, verdict: met ? 'met' : 'missed' };
}

/** A figure of ours against a fixed limit; without a limit it is only shown. */
export function atMost(
  what: string,
  unit: Unit,
  ours: readonly number[],
  limit?: number,
): Comparison {
  const own = spread(ours);
  if (limit === undefined) return { what, unit, ours: own, verdict: 'no target' };
  const verdict = own.median <= limit ? 'met' : 'missed';
  return { what, unit, ours: own, target: `≤ ${limit} ${unit}`.trim(), verdict };
}

export function notMeasured(what: string, target: string, reason: string): Comparison {
  return { what, unit: '', target, verdict: 'not measured', note: `not measured: ${reason}` };
}

/** A point of a chart. */
export function point(name: string, samples: readonly number[], x?: number | string): ChartPoint {
  return { name, ...spread(samples), ...(x === undefined ? {} : { x }) };
}
