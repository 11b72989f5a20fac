import { isUtf8 } from 'node:buffer';

/** Bytes that are looked at as one before they are looked at one by one. */
const PIECE_BYTES = 2 ** 16;

/** Where the first byte stands that is not UTF-8, if there is one. */
export function firstInvalidUtf8(bytes: Uint8Array): number | undefined {
  let start = 0;
  while (start < bytes.length) {
    let end = Math.min(start + PIECE_BYTES, bytes.length);
    // Back to the beginning of a character, unless this is no text at all.
    for (let i = 0; i < 3 && isContinuation(bytes[end]); i++) end--;
    if (!isUtf8(bytes.subarray(start, end))) return firstInvalidIn(bytes, start, end);
    start = end;
  }
  return undefined;
}

function firstInvalidIn(bytes: Uint8Array, start: number, end: number): number {
  let pos = start;
  while (pos < end) {
    const length = sequenceLength(bytes[pos]);
    if (!isUtf8(bytes.subarray(pos, Math.min(pos + length, end)))) return pos;
    pos += length;
  }
  return pos;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

/** Bytes of the character that `lead` begins; 1 for one that begins none. */
function sequenceLength(lead: number): number {
  if (lead < 0xc0) return 1;
  if (lead < 0xe0) return 2;
  return lead < 0xf0 ? 3 : 4;
}
