import { CLOSE_BRACKET } from './json.ts';

/**
 * The dimensions from behind an opening bracket to the closing one, which have been checked before;
 * `most` of them.
 */
export function readShape(bytes: Uint8Array, start: number, most = Infinity): number[] {
  const shape: number[] = [];
  let value = -1; // no digit yet
  for (let pos = start; ; pos++) {
    const byte = bytes[pos];
    const digit = byte - 0x30;
    if (digit >= 0 && digit <= 9) {
      value = value < 0 ? digit : value * 10 + digit;
    } else if (value >= 0) {
      shape.push(value);
      value = -1;
    }
    if (byte === CLOSE_BRACKET || shape.length === most) return shape;
  }
}
