import { readFileSync, writeFileSync } from 'node:fs';
import type { Ceiling } from './ceiling.ts';
import type { Chart } from './chart.ts';
import type { Comparison } from './compare.ts';
import type { Machine } from './machine.ts';

export interface TrialResult {
  trial: string;
  /** When its run began, ISO 8601: trials of one run have the same. */
  run: string;
  /** What it ran on. */
  machine: Machine;
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

/** Of each trial one: ratios are of drivers that ran in turns, so that trials may be of several machines. */
export interface Results {
  results: TrialResult[];
}

export function readResults(path: string): Results {
  return JSON.parse(readFileSync(path, 'utf8')) as Results;
}

/** Writes results into a file, which keeps the latest of each trial; returns all that it holds then. */
export function mergeResults(path: string, { results }: Results): Results {
  const latest = new Map<string, TrialResult>();
  for (const result of [...earlierResults(path), ...results]) {
    const other = latest.get(result.trial);
    if (other === undefined || result.at >= other.at) latest.set(result.trial, result);
  }
  const all: Results = { results: [...latest.values()] };
  writeFileSync(path, `${JSON.stringify(all, undefined, 2)}\n`);
  return all;
}

/** None where there is no file, or one of an older version of the suite. */
function earlierResults(path: string): TrialResult[] {
  try {
    return readResults(path).results.filter(({ machine }) => machine !== undefined);
  } catch {
    return [];
  }
}
