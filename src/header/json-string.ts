import { HeaderFault, unexpected } from './fault.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;

/** What the letter after a backslash stands for. */
const SIMPLE_ESCAPES = new Map(
  Object.entries({
    '"': '"',
    '\\': '\\',
    '/': '/',
    b: '\b',
    f: '\f',
    n: '\n',
    r: '\r',
    t: '\t',
  }).map(([letter, meaning]) => [letter.charCodeAt(0), meaning.charCodeAt(0)]),
);

export interface Unescaped {
  /** Where the string ends now. */
  end: number;
  /** Behind its closing quote. */
  pos: number;
}

/**
 * Unescapes a string in place, from its first byte that is neither plain text nor the closing
 * quote. No escape is shorter than the UTF-8 of what it stands for, so that the string only shrinks.
 */
export function unescapeInPlace(bytes: Uint8Array, start: number): Unescaped {
  let end = start;
  let pos = start;
  for (;;) {
    const byte = bytes[pos];
    if (byte === QUOTE) return { end, pos: pos + 1 };
    if (byte < 0x20) throw unexpected(bytes, 'the end of the string', pos);
    if (byte !== BACKSLASH) {
      bytes[end++] = byte;
      pos++;
      continue;
    }
    const letter = bytes[pos + 1];
    if (letter !== LETTER_U) {
      const simple = SIMPLE_ESCAPES.get(letter);
      if (simple === undefined) throw unexpected(bytes, 'an escape that JSON has', pos + 1);
      bytes[end++] = simple;
      pos += 2;
      continue;
    }
    const unit = escapedUnit(bytes, pos);
    if (unit < 0xd800 || unit > 0xdfff) {
      end = writeUtf8(bytes, end, unit);
      pos += 6;
    } else {
      const isPair = unit < 0xdc00 && bytes[pos + 6] === BACKSLASH && bytes[pos + 7] === LETTER_U;
      const low = isPair ? escapedUnit(bytes, pos + 6) : 0;
      if (low < 0xdc00 || low > 0xdfff)
        throw new HeaderFault('HEADER_JSON', 'a lone surrogate', pos);
      end = writeUtf8(bytes, end, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
      pos += 12;
    }
  }
}

/** The UTF-16 unit of `\uXXXX` at `pos`. */
function escapedUnit(bytes: Uint8Array, pos: number): number {
  let unit = 0;
  for (let i = pos + 2; i < pos + 6; i++) {
    const digit = hexadecimalDigit(bytes[i]);
    if (digit < 0) throw unexpected(bytes, 'four hexadecimal digits after \\u', i);
    unit = unit * 16 + digit;
  }
  return unit;
}

function hexadecimalDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

/** Writes a code point, and returns the position behind it. */
function writeUtf8(bytes: Uint8Array, pos: number, code: number): number {
  let at = pos;
  if (code < 0x80) {
    bytes[at++] = code;
    return at;
  }
  if (code < 0x800) {
    bytes[at++] = 0xc0 | (code >> 6);
  } else {
    if (code < 0x10000) {
      bytes[at++] = 0xe0 | (code >> 12);
    } else {
      bytes[at++] = 0xf0 | (code >> 18);
      bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
    }
    bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
  }
  bytes[at++] = 0x80 | (code & 0x3f);
  return at;
}
