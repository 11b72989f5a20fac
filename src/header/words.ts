/**
 * Whether the `length` bytes at `aStart` of `a` are those at `bStart` of `b`. From behind: the names of a
 * model begin alike. Reads whole words, and so up to three bytes beyond.
 */
export function sameName(
  a: DataView,
  aStart: number,
  b: DataView,
  bStart: number,
  length: number,
): boolean {
  let left = length;
  for (; left >= 4; left -= 4) {
    if (a.getInt32(aStart + left - 4, true) !== b.getInt32(bStart + left - 4, true)) return false;
  }
  if (left === 0) return true;
  const difference = a.getInt32(aStart, true) ^ b.getInt32(bStart, true);
  return difference << (32 - 8 * left) === 0;
}
