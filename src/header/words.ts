/**
 * Text of a header, four bytes at a time. Each function reads whole words, and so up to three bytes
 * beyond what it is about: the header's padding makes that safe, and its NULs end every search.
 */

/** Where the first quote, backslash or control character stands. */
export function plainTextEnd(view: DataView, start: number): number {
  let pos = start;
  for (;;) {
    const word = view.getInt32(pos, true);
    // The highest bit of a byte is set below where the byte is 0x22, 0x5c, or under 0x20 (Mycroft's
    // test for a zero byte); bytes above the first such one may be set too.
    const quote = word ^ 0x22222222;
    const backslash = word ^ 0x5c5c5c5c;
    const special =
      (((quote - 0x01010101) & ~quote) |
        ((backslash - 0x01010101) & ~backslash) |
        ((word - 0x20202020) & ~word)) &
      0x80808080;
    if (special !== 0) return pos + ((31 - Math.clz32(special & -special)) >>> 3);
    pos += 4;
  }
}

/**
 * Whether the `length` bytes at `a` are those at `b`; `a` lies before `b`, and has no NUL. No text
 * at all is the same as none.
 *
 * The last words overlap those before them, so that all lengths take one way: V8 optimises this with the
 * first texts of a process, and would throw that away for a text of another kind.
 */
export function sameText(view: DataView, a: number, b: number, length: number): boolean {
  if (length < 8) return sameShortText(view, a, b, length);
  const last = length - 8;
  for (let at = 0; at < last; at += 8) {
    if (view.getFloat64(a + at, true) !== view.getFloat64(b + at, true)) return false;
  }
  return view.getFloat64(a + last, true) === view.getFloat64(b + last, true);
}

/** {@link sameText} of less than eight bytes. */
function sameShortText(view: DataView, a: number, b: number, length: number): boolean {
  if (length === 0) return false;
  const difference = view.getInt32(a, true) ^ view.getInt32(b, true);
  if (length <= 4) return difference << (32 - 8 * length) === 0;
  const last = length - 4;
  return difference === 0 && view.getInt32(a + last, true) === view.getInt32(b + last, true);
}

/**
 * Whether the `length` bytes at `aStart` of `a` are those at `bStart` of `b`. From behind: the names of a
 * model begin alike.
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

/**
 * {@link sameName} for text without control characters, eight bytes at a time: as floating-point
 * numbers, since V8 has no other of eight bytes that costs nothing. What has no NUL is no zero, of
 * either sign, and what is no NaN is then equal when its bits are; bytes that would be one, which
 * ASCII has not, count as different.
 */
export function samePlainName(
  a: DataView,
  aStart: number,
  b: DataView,
  bStart: number,
  length: number,
): boolean {
  let left = length;
  for (; left >= 8; left -= 8) {
    const aAt = aStart + left - 8;
    if (a.getFloat64(aAt, true) !== b.getFloat64(bStart + left - 8, true)) return false;
  }
  return sameName(a, aStart, b, bStart, left);
}

/** The number that four digits from `pos` on are, or -1 where they are not all digits. */
export function fourDigits(view: DataView, pos: number): number {
  const digits = view.getInt32(pos, true) ^ 0x30303030;
  // The highest bit of a byte is set where it is over 9.
  if ((((digits + 0x76767676) | digits) & 0x80808080) !== 0) return -1;
  const pairs = Math.imul(digits, 10) + (digits >>> 8);
  return (pairs & 0xff) * 100 + ((pairs >>> 16) & 0xff);
}
