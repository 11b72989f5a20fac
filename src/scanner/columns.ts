import { BEGINS, CODES, ENDS, NAME_ENDS, NAME_STARTS, SHAPE_STARTS } from './memory';

/** Entries in the columns. */
export let count: i32 = 0;

/** Whether each of them begins where the one before it ended. */
export let tiles: bool = true;

let lastEnd: u64 = 0;

export function clear(): void {
  count = 0;
  tiles = true;
}

/** Places are put down as they are in the whole text, of which a piece is looked at. */
export function addName(start: usize, end: usize): void {
  store<u32>(NAME_STARTS + 4 * count, <u32>start);
  store<u32>(NAME_ENDS + 4 * count, <u32>end);
  count++;
}

export function addTensor(dtype: i32, shapeStart: usize, begin: u64, end: u64): void {
  store<u8>(CODES + count, <u8>dtype);
  store<u32>(SHAPE_STARTS + 4 * count, <u32>shapeStart);
  store<f64>(BEGINS + 8 * count, <f64>begin);
  store<f64>(ENDS + 8 * count, <f64>end);
  if (begin !== lastEnd && count > 0) tiles = false;
  lastEnd = end;
}
