import { DTYPES } from '../dtypes.ts';
import { MAX_SIZE } from '../layout.ts';
import type { Columns } from './columns.ts';
import { CLOSE_BRACKET, COMMA, QUOTE } from './json.ts';

const ABSENT = -1;
const ZERO = 0x30;
const METADATA_LENGTH = '__metadata__'.length;

/** Digits that an integer of 32 bits holds whatever they are. */
const CHUNK_DIGITS = 9;
const POWERS_OF_TEN = Float64Array.from({ length: CHUNK_DIGITS + 1 }, (_, n) => 10 ** n);

/** Up to four characters as the little-endian word that they are in the header. */
function word(text: string): number {
  return Buffer.from(text.padEnd(4, '\0')).readInt32LE();
}

/** `":{"dtype":"` closes a name and opens its entry. */
const OPEN = [word('":{"'), word('dtyp'), word('e":"')] as const;
/** `","shape":[` closes the dtype. */
const SHAPE = [word('","s'), word('hape'), word('":[')] as const;
/** `],"data_offsets":[` closes the shape. */
const OFFSETS = [word('],"d'), word('ata_'), word('offs'), word('ets"'), word(':[')] as const;
/** `]},"` closes the entry and opens the name of the next. */
const NEXT = word(']},"');

const THREE_BYTES = 0xffffff;
const TWO_BYTES = 0xffff;

/** Each dtype's name and the quote behind it, as three words, and which of their bits count. */
const DTYPE_WORDS = Int32Array.from(
  DTYPES.flatMap(({ name }) => [0, 4, 8].map((at) => word(`${name}"`.slice(at, at + 4)))),
);
const DTYPE_MASKS = DTYPE_WORDS.map((word) => (word === 0 ? 0 : -1 >>> (Math.clz32(word) & ~7)));
const DTYPE_LENGTHS = Int32Array.from(DTYPES, ({ name }) => name.length);

/**
 * Reads the entries that look exactly as the reference writes them: compact JSON, `dtype`, `shape`
 * and `data_offsets` in this order, a name without escapes. Everything else, right or wrong, it
 * leaves to the full grammar, and so it has no errors of its own.
 *
 * Works in words of four bytes wherever it can; the header's padding makes words at its end safe.
 */
export class CanonicalEntries {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #columns: Columns;
  /** What {@link #readInteger} read last. */
  #integer = 0;
  /** The dtypes of the last entry and of the one before: weights and their scales alternate. */
  #dtype = 0;
  #otherDtype = 0;

  constructor(bytes: Buffer, columns: Columns) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#columns = columns;
  }

  /**
   * Reads entries from `start`, where a name's opening quote may be, as long as each is followed by
   * another name; returns where the first stands that was not read.
   */
  read(start: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    let item = start;
    if (bytes[item] !== QUOTE) return item;
    for (;;) {
      const nameStart = item + 1;
      const nameEnd = this.#skipPlainText(nameStart);
      if (
        view.getInt32(nameEnd, true) !== OPEN[0] ||
        view.getInt32(nameEnd + 4, true) !== OPEN[1] ||
        view.getInt32(nameEnd + 8, true) !== OPEN[2] ||
        (nameEnd - nameStart === METADATA_LENGTH && bytes[nameStart] === 0x5f)
      ) {
        return item;
      }
      let pos = this.#readDtype(nameEnd + 12);
      if (
        pos === ABSENT ||
        view.getInt32(pos, true) !== SHAPE[0] ||
        view.getInt32(pos + 4, true) !== SHAPE[1] ||
        (view.getInt32(pos + 8, true) & THREE_BYTES) !== SHAPE[2]
      ) {
        return item;
      }

      const shapeStart = pos + 11;
      pos = shapeStart;
      let elements = 1;
      if (bytes[pos] !== CLOSE_BRACKET) {
        for (;;) {
          pos = this.#readInteger(pos);
          if (pos === ABSENT) return item;
          elements *= this.#integer;
          if (elements > MAX_SIZE) return item;
          if (bytes[pos] !== COMMA) break;
          pos++;
        }
      }

      if (
        view.getInt32(pos, true) !== OFFSETS[0] ||
        view.getInt32(pos + 4, true) !== OFFSETS[1] ||
        view.getInt32(pos + 8, true) !== OFFSETS[2] ||
        view.getInt32(pos + 12, true) !== OFFSETS[3] ||
        (view.getInt32(pos + 16, true) & TWO_BYTES) !== OFFSETS[4]
      ) {
        return item;
      }
      pos = this.#readInteger(pos + 18);
      if (pos === ABSENT || bytes[pos] !== COMMA) return item;
      const begin = this.#integer;
      pos = this.#readInteger(pos + 1);
      if (pos === ABSENT || view.getInt32(pos, true) !== NEXT) return item;
      const end = this.#integer;

      this.#columns.add(nameStart, nameEnd, this.#dtype, shapeStart, elements, begin, end);
      item = pos + 3;
    }
  }

  /** Where the first quote, backslash or control character stands. */
  #skipPlainText(start: number): number {
    const view = this.#view;
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

  /** Reads a dtype up to its closing quote into `#dtype`; returns where that stands, or ABSENT. */
  #readDtype(pos: number): number {
    let dtype = this.#dtype;
    if (!this.#isDtype(dtype, pos)) {
      dtype = this.#otherDtype;
      if (!this.#isDtype(dtype, pos)) {
        dtype = 0;
        while (!this.#isDtype(dtype, pos)) if (++dtype === DTYPES.length) return ABSENT;
      }
      this.#otherDtype = this.#dtype;
      this.#dtype = dtype;
    }
    return pos + DTYPE_LENGTHS[dtype];
  }

  #isDtype(dtype: number, pos: number): boolean {
    const view = this.#view;
    const at = 3 * dtype;
    return (
      (view.getInt32(pos, true) & DTYPE_MASKS[at]) === DTYPE_WORDS[at] &&
      (view.getInt32(pos + 4, true) & DTYPE_MASKS[at + 1]) === DTYPE_WORDS[at + 1] &&
      (view.getInt32(pos + 8, true) & DTYPE_MASKS[at + 2]) === DTYPE_WORDS[at + 2]
    );
  }

  /** Reads an integer into `#integer`; returns the position behind it, or ABSENT. */
  #readInteger(start: number): number {
    const bytes = this.#bytes;
    let pos = start;
    let digit = bytes[pos] - ZERO;
    if (digit < 0 || digit > 9) return ABSENT;
    // In two chunks of 32-bit integers, which are faster than doubles.
    let chunk = 0;
    const chunkEnd = start + CHUNK_DIGITS;
    do {
      chunk = (chunk * 10 + digit) | 0;
      digit = bytes[++pos] - ZERO;
    } while (digit >= 0 && digit <= 9 && pos < chunkEnd);
    let value = chunk;
    if (digit >= 0 && digit <= 9) {
      chunk = 0;
      do {
        chunk = (chunk * 10 + digit) | 0;
        digit = bytes[++pos] - ZERO;
      } while (digit >= 0 && digit <= 9 && pos < chunkEnd + CHUNK_DIGITS);
      if (digit >= 0 && digit <= 9) return ABSENT;
      value = value * POWERS_OF_TEN[pos - chunkEnd] + chunk;
      if (value > MAX_SIZE) return ABSENT;
    }
    if (bytes[start] === ZERO && pos > start + 1) return ABSENT;
    this.#integer = value;
    return pos;
  }
}
