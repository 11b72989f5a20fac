/** Where the first quote, backslash or control character stands. */
export function plainEnd(start: usize): usize {
  let at = start;
  let found = specials(at);
  while (found === 0) {
    at += 16;
    found = specials(at);
  }
  return at + <usize>ctz(found);
}

/** A bit for each of the sixteen bytes at `at`: whether it is one of those. */
function specials(at: usize): i32 {
  const text = v128.load(at);
  const quotes = i8x16.eq(text, i8x16.splat(0x22));
  const backslashes = i8x16.eq(text, i8x16.splat(0x5c));
  const controls = i8x16.lt_u(text, i8x16.splat(0x20));
  return i8x16.bitmask(v128.or(v128.or(quotes, backslashes), controls));
}

/** Whether the `length` bytes at `a` are those at `b`. */
export function same(a: usize, b: usize, length: usize): bool {
  if (length < 16) return sameBytes(a, b, length);
  // The last ones overlap those before them.
  const last = length - 16;
  for (let at: usize = 0; at < last; at += 16) {
    if (differ(v128.load(a + at), v128.load(b + at))) return false;
  }
  return !differ(v128.load(a + last), v128.load(b + last));
}

function differ(a: v128, b: v128): bool {
  return v128.any_true(v128.xor(a, b));
}

function sameBytes(a: usize, b: usize, length: usize): bool {
  for (let at: usize = 0; at < length; at++) {
    if (load<u8>(a + at) !== load<u8>(b + at)) return false;
  }
  return true;
}

/** Whether `text`, which is ASCII, is at `at`. */
export function isText(text: string, at: usize): bool {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) !== <i32>load<u8>(at + i)) return false;
  }
  return true;
}
