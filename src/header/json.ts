import type { ErrorName } from '../errors.ts';
import { MAX_SIZE } from '../layout.ts';

/** Deepest nesting of arrays and objects, the header itself included; the reference's limit. */
const MAX_DEPTH = 127;

/** Fewer integer digits than this are always in f64 range. */
const RANGE_DIGITS = 309;

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const LETTER_U = 0x75;

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

const LITERALS = ['true', 'false', 'null'].map((word) => Buffer.from(word));

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

/** Something that the header may not hold; {@link parseHeader} adds the tensor and the file. */
export class HeaderFault extends Error {
  readonly code: ErrorName;
  /** Where, in bytes from the start of the header. */
  readonly at: number;

  constructor(code: ErrorName, message: string, at: number) {
    super(message);
    this.code = code;
    this.at = at;
  }
}

/** NULs behind a header: one that ends every loop, and room for three words that begin at it. */
export const HEADER_PADDING = 16;

/** Memory for a header of so many bytes, which are the caller's to fill, with its padding. */
export function allocateHeader(length: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length + HEADER_PADDING);
  bytes.fill(0, length);
  return bytes;
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
  pos = 0;
  /** Where the string that {@link string} read last lies, unescaped and without its quotes. */
  stringStart = 0;
  stringEnd = 0;

  readonly bytes: Buffer;
  /** Where the header ends and its padding begins. */
  readonly end: number;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.end = bytes.length - HEADER_PADDING;
  }

  /** The byte at `pos` after white space. */
  next(): number {
    const { bytes } = this;
    let { pos } = this;
    let byte = bytes[pos];
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++pos];
    this.pos = pos;
    return byte;
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
      this.pos = pos;
      this.#unescape();
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
    const start = this.pos;
    let byte = this.next();
    if (!isDigit(byte)) this.fail(`${what}, a non-negative integer`);
    const first = byte;
    const digits = this.pos;
    let value = 0;
    do {
      value = value * 10 + (byte - ZERO);
      byte = bytes[++this.pos];
    } while (isDigit(byte));
    if (first === ZERO && this.pos > digits + 1)
      this.fail(`${what} without a leading zero`, digits);
    if (byte === DOT || (byte | 0x20) === 0x65) this.fail(`${what}, a plain integer`);
    // Rounding cannot hide an overflow: a value over 2^53 is never rounded to below it.
    if (value > MAX_SIZE) {
      throw new HeaderFault('OVERFLOW', `${what} is over 2^53 − 1`, start);
    }
    return value;
  }

  /** Passes over any value, `depth` arrays and objects being open around it. */
  skipValue(depth: number): void {
    const closers: number[] = [];
    for (;;) {
      const byte = this.next();
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (depth + closers.length >= MAX_DEPTH)
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

  /** The error of something unexpected at `at`. */
  fail(expected: string, at = this.pos): never {
    throw new HeaderFault('HEADER_JSON', `expected ${expected}, found ${this.#found(at)}`, at);
  }

  #key(): void {
    this.string('a field name');
    this.expect(COLON, 'after a field name');
  }

  #scalar(byte: number): void {
    if (byte === QUOTE) {
      this.string('a string');
    } else if (byte === MINUS || isDigit(byte)) {
      this.#number();
    } else {
      const { bytes, pos } = this;
      const word = LITERALS.find((literal) =>
        literal.equals(bytes.subarray(pos, pos + literal.length)),
      );
      if (word === undefined) this.fail('a value');
      this.pos += word.length;
    }
  }

  #number(): void {
    const { bytes } = this;
    const start = this.pos;
    if (bytes[start] === MINUS) this.pos++;
    const digits = this.pos;
    this.#digits();
    const integerDigits = this.pos - digits;
    if (bytes[digits] === ZERO && integerDigits > 1)
      this.fail('a number without a leading zero', digits);
    if (bytes[this.pos] === DOT) {
      this.pos++;
      this.#digits();
    }
    const exponent = (bytes[this.pos] | 0x20) === 0x65;
    if (exponent) {
      const sign = bytes[++this.pos];
      if (sign === PLUS || sign === MINUS) this.pos++;
      this.#digits();
    }
    if (exponent || integerDigits >= RANGE_DIGITS) {
      const value = Number(bytes.toString('latin1', start, this.pos));
      if (!Number.isFinite(value))
        throw new HeaderFault('HEADER_JSON', 'a number out of range', start);
    }
  }

  #digits(): void {
    if (!isDigit(this.bytes[this.pos])) this.fail('a digit');
    while (isDigit(this.bytes[this.pos])) this.pos++;
  }

  /** From the first byte that is neither plain text nor the closing quote. */
  #unescape(): void {
    const { bytes } = this;
    let target = this.pos;
    for (;;) {
      const byte = bytes[this.pos];
      if (byte === QUOTE) break;
      if (byte < 0x20) this.fail('the end of the string');
      if (byte !== BACKSLASH) {
        bytes[target++] = byte;
        this.pos++;
        continue;
      }
      const letter = bytes[this.pos + 1];
      const simple = SIMPLE_ESCAPES.get(letter);
      if (simple !== undefined) {
        bytes[target++] = simple;
        this.pos += 2;
      } else if (letter === LETTER_U) {
        target += bytes.write(String.fromCodePoint(this.#escapedCodePoint()), target, 'utf8');
      } else {
        this.fail('an escape that JSON has');
      }
    }
    this.stringEnd = target;
    this.pos++;
  }

  #escapedCodePoint(): number {
    const at = this.pos;
    const unit = this.#escapedUnit();
    if (unit < 0xd800 || unit > 0xdfff) return unit;
    const isHigh = unit < 0xdc00;
    if (isHigh && this.bytes[this.pos] === BACKSLASH && this.bytes[this.pos + 1] === LETTER_U) {
      const low = this.#escapedUnit();
      if (low >= 0xdc00 && low <= 0xdfff) return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    throw new HeaderFault('HEADER_JSON', 'a lone surrogate', at);
  }

  /** `\uXXXX` at `pos`. */
  #escapedUnit(): number {
    const hex = this.bytes.toString('latin1', this.pos + 2, this.pos + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(hex)) this.fail('four hexadecimal digits after \\u');
    this.pos += 6;
    return Number.parseInt(hex, 16);
  }

  #found(at: number): string {
    if (at >= this.end) return 'the end of the header';
    const byte = this.bytes[at];
    if (byte > 0x20 && byte < 0x7f) return `"${String.fromCharCode(byte)}"`;
    return `byte 0x${byte.toString(16).padStart(2, '0')}`;
  }
}
