import { inspect } from 'node:util';
import type { DtypeInfo } from './dtypes.ts';
import { SafetensorsError } from './errors.ts';
import { quoteName } from './escape.ts';
import { byteCount, fillsBytes } from './layout.ts';

/**
 * What is taken of one axis, as in numpy's basic indexing:
 *
 * - a number takes one element, and the axis is gone;
 * - `[start, stop]` and `[start, stop, step]` take elements from `start` up to but without `stop`; a
 *   bound of `null` is left open, and one beyond the axis ends at it; a negative step goes backwards;
 * - `null` takes the whole axis;
 * - `'...'`, once, takes all axes that no other range is for; without it those are the last.
 *
 * Negative numbers count from the end.
 */
export type SliceRange =
  | number
  | readonly [start: number | null, stop: number | null, step?: number | null]
  | null
  | '...';

/** Runs of bytes that lie at equal distances. */
export interface RunAxis {
  /** At least 2. */
  readonly count: number;
  /** Bytes from the beginning of one to that of the next; negative when they go backwards. */
  readonly stride: number;
}

/** Runs of bytes one behind the other, wherever they lie. */
export interface Runs {
  /** Where the first run begins. */
  readonly begin: number;
  /** Bytes of a run. */
  readonly runBytes: number;
  /** How runs follow each other, the innermost axis last; none when there is one run. */
  readonly axes: readonly RunAxis[];
  /** Of all runs together. */
  readonly byteLength: number;
}

/** From the first byte of all runs to behind the last. */
export function spanOf({ begin, runBytes, axes }: Runs): { begin: number; end: number } {
  let first = begin;
  let last = begin;
  for (const { count, stride } of axes) {
    first += Math.min(0, (count - 1) * stride);
    last += Math.max(0, (count - 1) * stride);
  }
  return { begin: first, end: last + runBytes };
}

export interface SlicePlan {
  /** Of the slice. */
  readonly shape: readonly number[];
  /** Of the slice, in bytes from the start of the tensor. */
  readonly runs: Runs;
}

/** What is sliced. */
export interface Sliced {
  readonly name: string;
  readonly dtype: DtypeInfo;
  readonly shape: readonly number[];
  readonly path: string | undefined;
}

/** A part of one axis, in elements of the axis. */
interface Pick {
  readonly start: number;
  readonly step: number;
  readonly count: number;
  /** Whether the axis is gone from the slice. */
  readonly single: boolean;
}

interface ElementAxis {
  count: number;
  stride: number;
}

/**
 * Where the bytes of a slice are.
 *
 * @throws {SafetensorsError} SLICE_RANGE for an index or an axis that the tensor does not have, and
 *   for a slice of a dtype under 8 bits that is not made of whole bytes
 * @throws {TypeError}, {RangeError} for what is no range
 */
export function planSlice(tensor: Sliced, ranges: readonly SliceRange[]): SlicePlan {
  const picks = picksOf(tensor, ranges);
  const shape = Object.freeze(picks.filter(({ single }) => !single).map(({ count }) => count));
  if (picks.some(({ count }) => count === 0)) {
    return { shape, runs: { begin: 0, runBytes: 0, axes: [], byteLength: 0 } };
  }
  let offset = 0;
  let run = 1;
  const axes: ElementAxis[] = [];
  let axisStride = 1;
  for (let axis = picks.length - 1; axis >= 0; axis--) {
    const { start, step, count } = picks[axis];
    offset += start * axisStride;
    const stride = step * axisStride;
    axisStride *= tensor.shape[axis];
    if (count === 1) continue;
    const inner = axes.at(-1);
    if (inner === undefined && stride === run) run *= count;
    else if (inner !== undefined && stride === inner.count * inner.stride) inner.count *= count;
    else axes.push({ count, stride });
  }
  return { shape, runs: inBytes(tensor, offset, run, axes.reverse()) };
}

function inBytes(
  { name, dtype, path }: Sliced,
  offset: number,
  run: number,
  axes: readonly ElementAxis[],
): Runs {
  const { bits } = dtype;
  const whole = [offset, run, ...axes.map(({ stride }) => stride)];
  if (!whole.every((elements) => fillsBytes(elements, bits))) {
    const message =
      `tensor ${quoteName(name)}: expected a slice of whole bytes, since an element of ${dtype.name} ` +
      `has ${bits} bits, found runs of ${run} elements from element ${offset} on`;
    throw new SafetensorsError('SLICE_RANGE', message, { path, tensor: name });
  }
  const runBytes = byteCount(run, bits);
  return {
    begin: byteCount(offset, bits),
    runBytes,
    axes: axes.map(({ count, stride }) => ({ count, stride: byteCount(stride, bits) })),
    byteLength: axes.reduce((bytes, { count }) => bytes * count, runBytes),
  };
}

/** What is taken of each axis of the tensor. */
function picksOf(tensor: Sliced, ranges: readonly SliceRange[]): Pick[] {
  const { name, shape, path } = tensor;
  const dots = ranges.indexOf('...');
  if (dots !== ranges.lastIndexOf('...')) {
    throw new RangeError(`ranges: expected '...' at most once, found ${inspect(ranges)}`);
  }
  const given = dots < 0 ? ranges.length : ranges.length - 1;
  const before = dots < 0 ? ranges.length : dots;
  const checked = ranges.map(checkRange);
  if (given > shape.length) {
    const message =
      `tensor ${quoteName(name)}: axis ${shape.length}: expected ranges for ${shape.length} axes, ` +
      `found ${given}`;
    throw new SafetensorsError('SLICE_RANGE', message, { path, tensor: name });
  }
  return shape.map((_, axis) => {
    const fromEnd = axis - shape.length + ranges.length;
    if (axis < before) return pick(tensor, axis, checked[axis]);
    return pick(tensor, axis, dots >= 0 && fromEnd > dots ? checked[fromEnd] : null);
  });
}

/** A range as it is now, of which nothing can change any more. */
type CheckedRange = number | readonly [number | null, number | null, number] | null;

function checkRange(range: SliceRange, position: number): CheckedRange {
  if (range === null || range === '...') return null;
  const what = `range ${position}`;
  if (typeof range === 'number') return checkInteger(range, what);
  if (!Array.isArray(range) || range.length < 2 || range.length > 3) {
    throw new TypeError(
      `${what}: expected a number, [start, stop], [start, stop, step], null or '...', ` +
        `found ${inspect(range, { depth: 1 })}`,
    );
  }
  const [start, stop, step] = range;
  const distance = checkBound(step ?? null, `${what}: step`) ?? 1;
  if (distance === 0) throw new RangeError(`${what}: step: expected any but 0, found 0`);
  return [checkBound(start, `${what}: start`), checkBound(stop, `${what}: stop`), distance];
}

function checkBound(value: unknown, what: string): number | null {
  return value === null ? null : checkInteger(value, what);
}

function checkInteger(value: unknown, what: string): number {
  if (typeof value !== 'number') {
    throw new TypeError(`${what}: expected a number, found ${inspect(value, { depth: 0 })}`);
  }
  if (!Number.isSafeInteger(value)) {
    throw new RangeError(`${what}: expected an integer up to 2^53 − 1, found ${value}`);
  }
  return value;
}

function pick({ name, shape, path }: Sliced, axis: number, range: CheckedRange): Pick {
  const length = shape[axis];
  if (range === null) return { start: 0, step: 1, count: length, single: false };
  if (typeof range === 'number') {
    if (range < -length || range >= length) {
      const expected =
        length === 0
          ? 'expected no index, since the axis is empty'
          : `expected an index from ${-length} to ${length - 1}`;
      const message = `tensor ${quoteName(name)}: axis ${axis}: ${expected}, found ${range}`;
      throw new SafetensorsError('SLICE_RANGE', message, { path, tensor: name });
    }
    return { start: fromStart(range, length), step: 1, count: 1, single: true };
  }
  const [first, last, step] = range;
  // Where a slice may begin and end: one before the axis when it goes backwards, as in Python.
  const lowest = step > 0 ? 0 : -1;
  const highest = step > 0 ? length : length - 1;
  const clamped = (bound: number) => Math.min(Math.max(fromStart(bound, length), lowest), highest);
  const start = first === null ? (step > 0 ? lowest : highest) : clamped(first);
  const stop = last === null ? (step > 0 ? highest : lowest) : clamped(last);
  const distance = step > 0 ? stop - start : start - stop;
  if (distance <= 0) return { start: 0, step: 1, count: 0, single: false };
  // Not rounded up: a quotient of large numbers may be rounded already.
  const rest = (distance - 1) % Math.abs(step);
  const count = (distance - 1 - rest) / Math.abs(step) + 1;
  return { start, step, count, single: false };
}

/** A position that may have been counted from the end. */
function fromStart(position: number, length: number): number {
  return position < 0 ? position + length : position + 0;
}
