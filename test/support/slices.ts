import fc from 'fast-check';
import type { Dtype, SliceRange } from '../../src/index.ts';
import { DTYPE_BITS, tensorBytes } from './build.ts';

/** What numpy's basic indexing takes of a shape, element by element. */
export interface ModelSlice {
  shape: number[];
  /** Elements of the tensor, in the order of the slice. */
  elements: number[];
}

/** Why there is no such slice: an index or axis that is not there. */
export type NoSlice = 'out of range';

/** Indices that `range(*slice.indices(length))` has in Python, found by walking. */
function walk(
  [first, last, by]: readonly [number | null, number | null, (number | null)?],
  length: number,
) {
  const step = by ?? 1;
  const counted = (bound: number) => (bound < 0 ? bound + length : bound);
  let from = first === null ? (step > 0 ? 0 : length - 1) : counted(first);
  if (step > 0) from = Math.max(from, 0);
  else from = Math.min(from, length - 1);
  const to = last === null ? (step > 0 ? length : -1) : Math.max(counted(last), step > 0 ? 0 : -1);
  const indices: number[] = [];
  for (let i = from; step > 0 ? i < to && i < length : i > to && i >= 0; i += step) indices.push(i);
  return indices;
}

/** A plain model of slicing: lists of indices, no strides. */
export function modelSlice(
  shape: readonly number[],
  ranges: readonly SliceRange[],
): ModelSlice | NoSlice {
  const given = ranges.filter((range) => range !== '...');
  if (given.length > shape.length) return 'out of range';
  const dots = Array.from({ length: shape.length - given.length }, () => null);
  const place = ranges.indexOf('...');
  const whole: SliceRange[] =
    place < 0
      ? [...ranges, ...dots]
      : [...ranges.slice(0, place), ...dots, ...ranges.slice(place + 1)];
  const sliced: number[] = [];
  let elements = [0];
  for (const [axis, length] of shape.entries()) {
    const range = whole[axis];
    let indices: number[];
    if (typeof range === 'number') {
      if (range < -length || range >= length) return 'out of range';
      indices = [range < 0 ? range + length : range];
    } else {
      indices = walk(Array.isArray(range) ? (range as [number, number]) : [null, null], length);
      sliced.push(indices.length);
    }
    elements = elements.flatMap((element) => indices.map((index) => element * length + index));
  }
  return { shape: sliced, elements };
}

/** The bytes of elements; undefined when they do not lie in whole bytes one after the other. */
export function bytesOfElements(
  dtype: Dtype,
  data: Uint8Array,
  elements: readonly number[],
): Uint8Array | undefined {
  const bits = DTYPE_BITS[dtype];
  const bytes: number[] = [];
  for (let i = 0; i < elements.length; ) {
    // A run of elements that follow each other.
    let end = i + 1;
    while (end < elements.length && elements[end] === elements[end - 1] + 1) end++;
    const [from, to] = [elements[i] * bits, (elements[end - 1] + 1) * bits];
    if (from % 8 !== 0 || to % 8 !== 0) return undefined;
    bytes.push(...data.subarray(from / 8, to / 8));
    i = end;
  }
  return Uint8Array.from(bytes);
}

/** Whether elements follow each other without a gap. */
export function areTogether(elements: readonly number[]): boolean {
  return elements.every((element, i) => i === 0 || element === elements[i - 1] + 1);
}

const anyBound = fc.option(fc.integer({ min: -9, max: 9 }), { nil: null, freq: 4 });
const anyStep = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.constant(null) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }) },
  { weight: 3, arbitrary: fc.integer({ min: -4, max: -1 }) },
);

/** A range for an axis of so many elements; now and then one that it does not have. */
function anyRange(length: number): fc.Arbitrary<SliceRange> {
  const inside = fc.integer({ min: -length, max: Math.max(-length, length - 1) });
  return fc.oneof(
    { weight: 3, arbitrary: inside },
    { weight: 1, arbitrary: fc.integer({ min: -7, max: 7 }) },
    { weight: 2, arbitrary: fc.constant(null) },
    {
      weight: 8,
      arbitrary: fc
        .tuple(anyBound, anyBound, anyStep)
        .map(
          ([start, stop, step]): SliceRange =>
            step === undefined ? [start, stop] : [start, stop, step],
        ),
    },
  );
}

/** Ranges for a shape: fewer than axes, as many, with dots, rarely too many. */
export function anyRanges(shape: readonly number[]): fc.Arbitrary<SliceRange[]> {
  return fc
    .record({
      ranges: fc.tuple(...[...shape, 1].map(anyRange)),
      count: fc.nat(shape.length * 4),
      dots: fc.option(fc.nat(shape.length), { nil: undefined }),
      skipped: fc.nat(shape.length),
    })
    .map(({ ranges, count, dots, skipped }) => {
      const taken: SliceRange[] = ranges.slice(0, count % 17 === 16 ? ranges.length : shape.length);
      if (dots === undefined) return taken.slice(0, Math.max(count, 0));
      const place = Math.min(dots, taken.length);
      taken.splice(place, Math.min(skipped, taken.length - place), '...');
      return taken;
    });
}

export interface AnySlice {
  dtype: Dtype;
  shape: number[];
  ranges: SliceRange[];
}

/** A tensor of whole bytes, and ranges for it. */
export function anySlice(dtype: Dtype): fc.Arbitrary<AnySlice> {
  return fc
    .array(fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 1, max: 6 }) }, fc.constant(0)), {
      maxLength: 4,
    })
    .map((dimensions) =>
      Number.isInteger(tensorBytes(dtype, dimensions)) ? dimensions : [...dimensions, 4],
    )
    .chain((shape) =>
      fc.record({ dtype: fc.constant(dtype), shape: fc.constant(shape), ranges: anyRanges(shape) }),
    );
}
