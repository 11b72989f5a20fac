import { elementCount } from '../layout.ts';

/** Elements of a tensor in their storage, in bytes from its beginning. */
export interface Geometry {
  readonly elements: number;
  readonly elementBytes: number;
  readonly shape: readonly number[];
  /** In bytes. */
  readonly strides: readonly number[];
  /** Of the first element. */
  readonly begin: number;
  /** Behind the last byte that is touched; `begin` where there are no elements. */
  readonly end: number;
  /** Whether the elements lie one behind the other, in C order. */
  readonly contiguous: boolean;
}

/** The geometry of a view; `undefined` where its numbers are beyond all bounds. Offset and strides are in elements. */
export function geometryOf(
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
  elementBytes: number,
): Geometry | undefined {
  const elements = elementCount(shape);
  if (elements === undefined || !Number.isSafeInteger(elements * elementBytes)) return undefined;
  const begin = offset * elementBytes;
  let last = offset;
  let contiguous = true;
  let expected = 1;
  if (elements > 0) {
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      if (shape[axis] === 1) continue;
      if (strides[axis] !== expected) contiguous = false;
      expected *= shape[axis];
      last += (shape[axis] - 1) * strides[axis];
      if (!Number.isSafeInteger(last)) return undefined;
    }
  }
  const end = elements === 0 ? begin : (last + 1) * elementBytes;
  if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end)) return undefined;
  return {
    elements,
    elementBytes,
    shape,
    strides: strides.map((stride) => stride * elementBytes),
    begin,
    end,
    contiguous,
  };
}

/** Strides of elements in C order, or in Fortran's, in elements. */
export function stridesOf(shape: readonly number[], fortran: boolean): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let i = 0; i < shape.length; i++) {
    const axis = fortran ? i : shape.length - 1 - i;
    strides[axis] = stride;
    stride *= shape[axis];
  }
  return strides;
}

/** A part of a tensor, in the order of its elements. */
export interface Block {
  readonly byteLength: number;
  /** As `NativeAddon.gather` takes them: begin and bytes of a run, then count and stride of each axis. */
  readonly runs: Float64Array;
}

/**
 * A view in blocks of about `most` bytes, in C order: however the elements lie, no more than that is
 * in memory. `base` is where the storage begins.
 */
export function* blocksOf(geometry: Geometry, base: number, most: number): Generator<Block> {
  const { shape, strides, elementBytes, elements } = geometry;
  if (elements === 0) return;
  // Blocks are ranges of this axis; all of those behind it fit into one.
  let axis = shape.length;
  let inner = elementBytes;
  while (axis > 0 && inner * shape[axis - 1] <= most) inner *= shape[--axis];
  const split = axis - 1;
  const rows = split < 0 ? 1 : shape[split];
  const step = Math.max(1, Math.floor(most / inner));
  const index = new Array<number>(Math.max(0, split)).fill(0);
  for (;;) {
    let outer = base + geometry.begin;
    for (const [i, at] of index.entries()) outer += at * strides[i];
    for (let row = 0; row < rows; row += step) {
      const count = Math.min(step, rows - row);
      const begin = outer + row * (strides[split] ?? 0);
      yield { byteLength: count * inner, runs: runsOf(geometry, begin, split, count) };
    }
    let digit = split - 1;
    while (digit >= 0 && ++index[digit] === shape[digit]) index[digit--] = 0;
    if (digit < 0) return;
  }
}

/** Runs of `count` steps of axis `split` (of everything, where that is −1) and all behind it. */
function runsOf(
  { shape, strides, elementBytes }: Geometry,
  begin: number,
  split: number,
  count: number,
): Float64Array {
  const axes: [count: number, stride: number][] = [];
  if (split >= 0 && count > 1) axes.push([count, strides[split]]);
  for (let axis = split + 1; axis < shape.length; axis++) {
    if (shape[axis] > 1) axes.push([shape[axis], strides[axis]]);
  }
  let runBytes = elementBytes;
  for (let last = axes.at(-1); last?.[1] === runBytes; last = axes.at(-1)) {
    runBytes *= last[0];
    axes.pop();
  }
  return Float64Array.from([begin, runBytes, ...axes.flat()]);
}
