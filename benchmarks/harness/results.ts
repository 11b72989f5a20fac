import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Ceiling } from './ceiling.ts';
import type { Chart } from './chart.ts';
import type { Comparison } from './compare.ts';
import type { Machine } from './machine.ts';

export interface TrialResult {
  trial: string;
  /** When its run began, ISO 8601: trials of one run have the same. */
  run: string;
  /** When it ended. */
  at: string;
  /** What it took. */
  seconds: number;
  /** Smaller files and fewer rounds than figures are made of. */
  quick: boolean;
  /** Of the disk, in the same run. */
  ceiling: Ceiling | string;
  rows: Comparison[];
  charts: Chart[];
}

/** What out/bench.json holds. */
export interface Results {
  machine: Machine;
  results: TrialResult[];
}

export function readResults(path: string): Results {
  return JSON.parse(readFileSync(path, 'utf8')) as Results;
}

/**
 * Writes results; those of other trials that were measured before on the same machine stay. Those of another
 * machine, or with another reference, are put aside; returns where.
 */
export function writeResults(path: string, { machine, results }: Results): string | undefined {
  const before = earlierResults(path);
  let others: TrialResult[] = [];
  let aside: string | undefined;
  // The same after a trip through JSON, which drops what is undefined.
  if (isDeepStrictEqual(before?.machine, JSON.parse(JSON.stringify(machine)))) {
    others =
      before?.results.filter(({ trial }) => !results.some((now) => now.trial === trial)) ?? [];
  } else if (before !== undefined) {
    aside = `${path}.${before.results[0]?.run ?? 'empty'}`;
    renameSync(path, aside);
  }
  const all: Results = { machine, results: [...others, ...results] };
  writeFileSync(path, `${JSON.stringify(all, undefined, 2)}\n`);
  return aside;
}

/** None where there is no file, or one of an older version of the suite. */
function earlierResults(path: string): Results | undefined {
  try {
    return readResults(path);
  } catch {
    return undefined;
  }
}
