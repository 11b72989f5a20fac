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
    if (sign !== MINUS) {
      for (let i = digits; i < pos; i++) exponent = exponent * 10 + (bytes[i] - ZERO);
    }
  }
  // Only now is it worth knowing the value.
  if (integerDigits + exponent >= RANGE_DIGITS) {
    const value = Number(bytes.toString('latin1', start, pos));
    if (!Number.isFinite(value)) {
      throw new HeaderFault('HEADER_JSON', 'a number beyond the range of f64', start);
    }
  }
  return pos;
}

function skipDigits(bytes: Uint8Array, start: number): number {
  let pos = start;
  while (bytes[pos] >= ZERO && bytes[pos] <= NINE) pos++;
  if (pos === start) throw unexpected(bytes, 'a digit', pos);
  return pos;
}
