import { HeaderFault, unexpected } from './fault.ts';

const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const LETTER_E = 0x65;

/** The largest f64 has 309 digits before its point: a number of fewer is in range. */
const RANGE_DIGITS = 309;

/** Passes over a JSON number, which must be in the range of f64; returns the position behind it. */
export function skipNumber(bytes: Buffer, start: number): number {
  const first = bytes[start] === MINUS ? start + 1 : start;
  let pos = skipDigits(bytes, first);
  const integerDigits = pos - first;
  if (bytes[first] === ZERO && integerDigits > 1) {
    throw unexpected(bytes, 'a number without a leading zero', first);
  }
  if (bytes[pos] === DOT) pos = skipDigits(bytes, pos + 1);
  let exponent = 0;
  if ((bytes[pos] | 0x20) === LETTER_E) {
    const sign = bytes[++pos];
    if (sign === PLUS || sign === MINUS) pos++;
    const digits = pos;
    pos = skipDigits(bytes, digits);
    for (let i = digits; i < pos; i++) exponent = exponent * 10 + (bytes[i] - ZERO);
    if (sign === MINUS) exponent = -exponent;
  }
  // Only what is about as large as the largest f64, or written with zeros before it, is worth
  // knowing exactly.
  const magnitude = integerDigits + exponent;
  const mayBeFinite = magnitude === RANGE_DIGITS || bytes[first] === ZERO;
  if (magnitude >= RANGE_DIGITS && !(mayBeFinite && isInRange(bytes, start, first, pos))) {
    throw new HeaderFault('HEADER_JSON', 'a number beyond the range of f64', start);
  }
  return pos;
}

/** Whether the number from `start` to `end` is in range; its digits begin at `first`. */
function isInRange(bytes: Buffer, start: number, first: number, end: number): boolean {
  // The largest f64 begins with 17: what begins with 1, or 10 to 16, and is no longer is in range.
  const second = bytes[first + 1] === DOT ? bytes[first + 2] : bytes[first + 1];
  const isUnder17 = bytes[first] === ZERO + 1 && !(second >= ZERO + 7 && second <= NINE);
  if (isUnder17) return true;
  return Number.isFinite(Number(bytes.toString('latin1', start, end)));
}

function skipDigits(bytes: Uint8Array, start: number): number {
  let pos = start;
  while (bytes[pos] >= ZERO && bytes[pos] <= NINE) pos++;
  if (pos === start) throw unexpected(bytes, 'a digit', pos);
  return pos;
}
