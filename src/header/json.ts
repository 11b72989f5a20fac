import { MAX_SIZE } from '../layout.ts';
import { BLANK_PIECE_BYTES, HEADER_PADDING, isBlank } from './bytes.ts';
import { HeaderFault, unexpected } from './fault.ts';
import { skipNumber } from './json-number.ts';
import { unescapeInPlace } from './json-string.ts';

/** Deepest nesting of arrays and objects, the header itself included; the reference's limit. */
const MAX_DEPTH = 127;

/** White space is passed over byte by byte up to here: most of it is a space or two. */
const FEW_BLANKS = 16;

/** From here on whole pieces of the header are compared with blanks, as memory. */
const MANY_BLANKS = 2 ** 16;

/** Digits that a message shows: all that 64 bits can have. */
const SHOWN_DIGITS = 20;

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const LETTER_E = 0x65;

const LETTER_F = 0x66;
const NULL = Buffer.from('null');
const TRUE = Buffer.from('true');
const ALSE = Buffer.from('alse');

const BLANKS = [0x20, 0x0a, 0x0d, 0x09];

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

function isBlankByte(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/**
 * Reads strict JSON (RFC 8259) out of bytes that are known to be UTF-8.
 *
 * The bytes end with {@link HEADER_PADDING} NULs. No JSON text holds a NUL, so that every loop
 * stops there and none needs to look at the length.
 *
 * Strings are unescaped in place, which never makes them longer: afterwards every name is plain
 * UTF-8 in the header's own bytes, and names compare as bytes.
 */
export class JsonScanner {
  readonly bytes: Buffer;
  /** Where the header ends and its padding begins. */
  readonly end: number;
  pos = 0;
  /** Where the string that {@link string} read last lies, unescaped and without its quotes. */
  stringStart = 0;
  stringEnd = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.end = bytes.length - HEADER_PADDING;
  }

  /** The byte at `pos` after white space. */
  next(): number {
    const { bytes } = this;
    let { pos } = this;
    const few = pos + FEW_BLANKS;
    while (isBlankByte(bytes[pos])) {
      if (++pos === few) pos = skipBlankWords(bytes, pos);
    }
    this.pos = pos;
    return bytes[pos];
  }

  /** Passes over white space and one punctuation byte. */
  expect(byte: number, where: string): void {
    if (this.next() !== byte) this.fail(`"${String.fromCharCode(byte)}" ${where}`);
    this.pos++;
  }

  /** After an item of an object or array: true after a comma, false after `close`. */
  more(close: number): boolean {
    const byte = this.next();
    if (byte !== COMMA && byte !== close) this.fail(`"," or "${String.fromCharCode(close)}"`);
    this.pos++;
    return byte === COMMA;
  }

  /** Reads a string, whose opening quote may follow white space. */
  string(what: string): void {
    if (this.next() !== QUOTE) this.fail(what);
    const { bytes } = this;
    const start = this.pos + 1;
    let pos = start;
    let byte = bytes[pos];
    while (byte !== QUOTE && byte !== BACKSLASH && byte >= 0x20) byte = bytes[++pos];
    this.stringStart = start;
    if (byte === QUOTE) {
      this.stringEnd = pos;
      this.pos = pos + 1;
    } else {
      const unescaped = unescapeInPlace(bytes, pos);
      this.stringEnd = unescaped.end;
      this.pos = unescaped.pos;
    }
  }

  /** The text of the string read last. */
  text(): string {
    return this.bytes.toString('utf8', this.stringStart, this.stringEnd);
  }

  /** Whether the string read last is `ascii`. */
  isText(ascii: Uint8Array): boolean {
    const { bytes, stringStart } = this;
    if (this.stringEnd - stringStart !== ascii.length) return false;
    for (let i = 0; i < ascii.length; i++) {
      if (bytes[stringStart + i] !== ascii[i]) return false;
    }
    return true;
  }

  /** A plain non-negative integer: no sign, no fraction, no exponent, no leading zero. */
  integer(what: string): number {
    const { bytes } = this;
    if (!isDigit(this.next())) this.fail(`${what}, a non-negative integer`);
    const start = this.pos;
    let pos = start;
    let value = 0;
    do value = value * 10 + (bytes[pos] - ZERO);
    while (isDigit(bytes[++pos]));
    if (bytes[start] === ZERO && pos > start + 1) this.fail(`${what} without a leading zero`);
    this.pos = pos;
    if (bytes[pos] === DOT || (bytes[pos] | 0x20) === LETTER_E)
      this.fail(`${what}, a plain integer`);
    // Rounding cannot hide an overflow: a value over 2^53 is never rounded to below it.
    if (value > MAX_SIZE) throw this.#overflow(what, start);
    return value;
  }

  /** Passes over any value, `depth` arrays and objects being open around it. */
  skipValue(depth: number): void {
    const closers: number[] = [];
    for (;;) {
      const byte = this.next();
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (depth + closers.length === MAX_DEPTH)
          this.fail(`at most ${MAX_DEPTH} levels of nesting`);
        const close = byte === OPEN_BRACE ? CLOSE_BRACE : CLOSE_BRACKET;
        this.pos++;
        if (this.next() !== close) {
          closers.push(close);
          if (close === CLOSE_BRACE) this.#key();
          continue;
        }
        this.pos++;
      } else {
        this.#scalar(byte);
      }
      // One value is complete: close what ends with it, up to the next comma.
      for (;;) {
        const close = closers.at(-1);
        if (close === undefined) return;
        if (this.more(close)) {
          if (close === CLOSE_BRACE) this.#key();
          break;
        }
        closers.pop();
      }
    }
  }

  /** Something unexpected at `at`. */
  fail(expected: string, at = this.pos): never {
    throw unexpected(this.bytes, expected, at);
  }

  /** The integer from `start` to `pos` is too large. */
  #overflow(what: string, start: number): HeaderFault {
    const shown = this.bytes.toString('latin1', start, Math.min(this.pos, start + SHOWN_DIGITS));
    const digits = this.pos > start + SHOWN_DIGITS ? `${shown}…` : shown;
    return new HeaderFault('OVERFLOW', `${what} is ${digits}, over 2^53 − 1`, start);
  }

  #key(): void {
    this.string('a field name');
    this.expect(COLON, 'after a field name');
  }

  #scalar(byte: number): void {
    if (byte === QUOTE) {
      this.string('a string');
    } else if (byte === MINUS || isDigit(byte)) {
      this.pos = skipNumber(this.bytes, this.pos);
    } else {
      const { bytes, pos } = this;
      if (isWord(bytes, pos, NULL) || isWord(bytes, pos, TRUE)) this.pos = pos + 4;
      else if (byte === LETTER_F && isWord(bytes, pos + 1, ALSE)) this.pos = pos + 5;
      else this.fail('a value');
    }
  }
}

/** For each pair of bytes whether both are white space, made when there is much of it. */
let blankPairs: Uint8Array | undefined;

function makeBlankPairs(): Uint8Array {
  const pairs = new Uint8Array(2 ** 16);
  for (const low of BLANKS) for (const high of BLANKS) pairs[low | (high << 8)] = 1;
  return pairs;
}

/** Passes over white space four bytes at a time; up to three blanks may remain. */
function skipBlankWords(bytes: Buffer, start: number): number {
  blankPairs ??= makeBlankPairs();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let pos = skipPairs(view, blankPairs, start, start + MANY_BLANKS);
  if (pos < start + MANY_BLANKS) return pos;
  while (isBlank(bytes.subarray(pos, pos + BLANK_PIECE_BYTES))) pos += BLANK_PIECE_BYTES;
  return skipPairs(view, blankPairs, pos, bytes.length);
}

/** Passes over words of white space, up to `end` or to the first that is not. */
function skipPairs(view: DataView, pairs: Uint8Array, start: number, end: number): number {
  let pos = start;
  while (pos < end) {
    const word = view.getInt32(pos, true);
    if ((pairs[word & 0xffff] & pairs[word >>> 16]) === 0) break;
    pos += 4;
  }
  return pos;
}

/** Whether the four bytes at `pos` are those of `text`. */
function isWord(bytes: Uint8Array, pos: number, text: Uint8Array): boolean {
  return (
    bytes[pos] === text[0] &&
    bytes[pos + 1] === text[1] &&
    bytes[pos + 2] === text[2] &&
    bytes[pos + 3] === text[3]
  );
}
