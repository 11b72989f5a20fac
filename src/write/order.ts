import type { CheckedSpec } from './inputs.ts';
import { STEP_TENSORS, type Steps } from './steps.ts';

const SURROGATE = /[\ud800-\udfff]/;

/** Tensors that are sorted in one step: that takes half a millisecond. */
const RUN_TENSORS = 1024;

/** Comparisons of a merge that are made in one step. */
const STEP_COMPARISONS = 2048;

/** Whether a name comes before another one. */
type IsBefore = (name: string, other: string) => boolean;

/**
 * Tensors of different names as the reference orders them: dtypes of the largest alignment first, then names by
 * code point.
 */
export function* inWritingOrder<T extends CheckedSpec>(tensors: readonly T[]): Steps<T[]> {
  const byDtype: T[][] = [];
  let isBefore: IsBefore = isBeforeInUnits;
  for (let i = 0; i < tensors.length; i++) {
    const tensor = tensors[i];
    byDtype[tensor.dtype.code] ??= [];
    byDtype[tensor.dtype.code].push(tensor);
    if (SURROGATE.test(tensor.name)) isBefore = isBeforeInCodePoints;
    if (i % STEP_TENSORS === 0) yield;
  }
  const sorted: T[][] = [];
  for (const some of byDtype.toReversed()) if (some) sorted.push(yield* byName(some, isBefore));
  return sorted.length === 1 ? sorted[0] : sorted.flat();
}

/** Merge sort, whose merges may be interrupted. */
function* byName<T extends CheckedSpec>(tensors: T[], isBefore: IsBefore): Steps<T[]> {
  let runs: T[][] = [];
  for (let at = 0; at < tensors.length; at += RUN_TENSORS) {
    const run = tensors.slice(at, at + RUN_TENSORS);
    runs.push(run.sort((a, b) => (isBefore(a.name, b.name) ? -1 : 1)));
    yield;
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let i = 0; i < runs.length; i += 2) {
      merged.push(i + 1 < runs.length ? yield* merge(runs[i], runs[i + 1], isBefore) : runs[i]);
    }
    runs = merged;
  }
  return runs[0];
}

function* merge<T extends CheckedSpec>(a: T[], b: T[], isBefore: IsBefore): Steps<T[]> {
  // Tensors of a file come in order.
  if (isBefore(a[a.length - 1].name, b[0].name)) return a.concat(b);
  const merged: T[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    merged.push(isBefore(a[i].name, b[j].name) ? a[i++] : b[j++]);
    if (merged.length % STEP_COMPARISONS === 0) yield;
  }
  yield;
  return merged.concat(i < a.length ? a.slice(i) : b.slice(j));
}

/** UTF-16 units are in the order of code points up to the first surrogate. */
function isBeforeInUnits(name: string, other: string): boolean {
  return name < other;
}

/** By code point, which is by the bytes of UTF-8. */
function isBeforeInCodePoints(name: string, other: string): boolean {
  const shorter = Math.min(name.length, other.length);
  for (let i = 0; i < shorter; i++) {
    const unit = name.charCodeAt(i);
    const otherUnit = other.charCodeAt(i);
    if (unit !== otherUnit) return rankOfUnit(unit) < rankOfUnit(otherUnit);
  }
  return name.length < other.length;
}

/** Surrogates stand for code points above all others, and above those of U+E000 to U+FFFF too. */
function rankOfUnit(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
