import { DTYPES } from '../dtypes.ts';
import { byteCount, MAX_SIZE } from '../layout.ts';
import type { Columns } from './columns.ts';
import { CLOSE_BRACKET, COMMA, QUOTE } from './json.ts';
import { FITS, sizeVerdict } from './size.ts';
import { fourDigits, plainTextEnd, sameText } from './words.ts';

const ABSENT = -1;
const ZERO = 0x30;
const UNDERSCORE = 0x5f;
const METADATA_LENGTH = '__metadata__'.length;

/** Text of an entry between what differs, as the reference writes it. */
const OPEN = Buffer.from('":{"dtype":"');
const SHAPE = Buffer.from('","shape":[');
const OFFSETS = Buffer.from('],"data_offsets":[');
const DTYPE_NAMES = DTYPES.map(({ name }) => Buffer.from(name));

/** `]},"` closes an entry and opens the name of the next: the word that it is in the header. */
const NEXT = Buffer.from(']},"').readInt32LE();

/** Digits that an integer of 32 bits holds whatever they are, in words of four. */
const CHUNK_DIGITS = 8;
const POWERS_OF_TEN = Float64Array.from({ length: CHUNK_DIGITS + 1 }, (_, n) => 10 ** n);

/** Descriptions that are remembered: 2^4. Models have fewer dtypes and shapes in what repeats. */
const SLOT_BITS = 4;

/** Names that are known from elsewhere, and likely to come in the order in which they come there. */
export interface KnownNames {
  /**
   * Where the name ends that begins at `start`, if it is the one that is expected next, or -1. Such a
   * name has no quote, no backslash and no control character, and a quote stands behind it.
   */
  expect(text: DataView, start: number): number;
  /** Looks for the name at `[start, end)`, which was not expected. */
  find(text: DataView, start: number, end: number): void;
  /** The name of which {@link expect} or {@link find} was asked last is that of an entry. */
  take(entry: number): void;
}

/** The text from the quote that closes a name to the first offset, and what it says. */
interface Description {
  start: number;
  length: number;
  dtype: number;
  shapeStart: number;
  elements: number;
  /** Bytes that the data of such a tensor has, if it fits whole bytes. */
  byteLength: number;
}

/**
 * For one header after the other, since a header is read without a pause: what 16 objects cost each of
 * the shards of a model is a collection more.
 */
const DESCRIPTIONS: readonly Description[] = Array.from({ length: 1 << SLOT_BITS }, () => ({
  start: 0,
  length: 0,
  dtype: 0,
  shapeStart: 0,
  elements: 0,
  byteLength: 0,
}));

/**
 * Reads the entries that look exactly as the reference writes them: compact JSON, `dtype`, `shape`
 * and `data_offsets` in this order, a name without escapes. Everything else, right or wrong, it
 * leaves to the full grammar, and so it has no errors of its own.
 *
 * A model repeats itself, and its header does: most entries say of their tensor what one of the last
 * two said (weights and their scales alternate), and begin where the last one ended. So text is
 * compared with that of those entries first, and is read only where it differs. Functions are small
 * on purpose: V8 compiles them within the first of a process's headers, where it would still be
 * compiling one large loop when that header ends.
 */
export class CanonicalEntries {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #columns: Columns;
  readonly #names: KnownNames | undefined;
  /** Where the digits of the last end stand, and how many there are. */
  #endStart = 0;
  #endLength = 0;
  #end = 0;
  /** What {@link #readInteger} read last. */
  #integer = 0;

  constructor(bytes: Buffer, columns: Columns, names?: KnownNames) {
    this.#names = names;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#columns = columns;
    // No text at all, until there is some of this header.
    for (const description of DESCRIPTIONS) description.length = 0;
  }

  /**
   * Reads entries from `start`, where a name's opening quote may be, as long as each is followed by
   * another name; returns where the first stands that was not read.
   */
  read(start: number): number {
    let item = start;
    if (this.#bytes[item] !== QUOTE) return item;
    for (;;) {
      const next = this.#readEntry(item + 1);
      if (next === ABSENT) return item;
      item = next;
    }
  }

  /** Reads the entry whose name begins at `nameStart`; returns the quote of the next name. */
  #readEntry(nameStart: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    const names = this.#names;
    let nameEnd = names === undefined ? ABSENT : names.expect(view, nameStart);
    const wasExpected = nameEnd !== ABSENT;
    if (!wasExpected) nameEnd = plainTextEnd(view, nameStart);
    if (nameEnd - nameStart === METADATA_LENGTH && bytes[nameStart] === UNDERSCORE) return ABSENT;

    const description = DESCRIPTIONS[slotOf(view, nameEnd)];
    if (
      !sameText(view, description.start, nameEnd, description.length) &&
      !this.#describe(nameEnd, description)
    ) {
      return ABSENT;
    }

    const beginStart = nameEnd + description.length;
    const endLength = this.#endLength;
    let begin = this.#end;
    let pos = beginStart + endLength;
    if (bytes[pos] !== COMMA || !sameText(view, this.#endStart, beginStart, endLength)) {
      pos = this.#readInteger(beginStart);
      if (pos === ABSENT || bytes[pos] !== COMMA) return ABSENT;
      begin = this.#integer;
    }
    const endStart = pos + 1;
    pos = this.#readInteger(endStart);
    if (pos === ABSENT || view.getInt32(pos, true) !== NEXT) return ABSENT;
    const end = this.#integer;
    this.#endStart = endStart;
    this.#endLength = pos - endStart;
    this.#end = end;

    const { dtype, shapeStart, elements, byteLength } = description;
    const verdict = end - begin === byteLength ? FITS : sizeVerdict(elements, dtype, begin, end);
    const ownShapeStart = nameEnd + (shapeStart - description.start);
    if (names !== undefined) {
      if (!wasExpected) names.find(view, nameStart, nameEnd);
      names.take(this.#columns.count);
    }
    this.#columns.add(nameStart, nameEnd, dtype, ownShapeStart, verdict, begin, end);
    return pos + 3;
  }

  /** Reads dtype and shape of the entry whose name ends at `start`; whether it could. */
  #describe(start: number, description: Description): boolean {
    const bytes = this.#bytes;
    if (!this.#isText(OPEN, start)) return false;
    const dtypeStart = start + OPEN.length;
    const dtypeEnd = plainTextEnd(this.#view, dtypeStart);
    const dtype = this.#findDtype(dtypeStart, dtypeEnd);
    if (dtype === ABSENT || !this.#isText(SHAPE, dtypeEnd)) return false;
    const shapeStart = dtypeEnd + SHAPE.length;
    let pos = shapeStart;
    let elements = 1;
    if (bytes[pos] !== CLOSE_BRACKET) {
      for (;;) {
        pos = this.#readInteger(pos);
        if (pos === ABSENT) return false;
        elements *= this.#integer;
        if (elements > MAX_SIZE) return false;
        if (bytes[pos] !== COMMA) break;
        pos++;
      }
    }
    if (!this.#isText(OFFSETS, pos)) return false;
    description.start = start;
    description.length = pos + OFFSETS.length - start;
    description.dtype = dtype;
    description.shapeStart = shapeStart;
    description.elements = elements;
    const byteLength = byteCount(elements, DTYPES[dtype].bits);
    description.byteLength =
      Number.isInteger(byteLength) && byteLength <= MAX_SIZE ? byteLength : ABSENT;
    return true;
  }

  #findDtype(start: number, end: number): number {
    for (let dtype = 0; dtype < DTYPE_NAMES.length; dtype++) {
      if (DTYPE_NAMES[dtype].length === end - start && this.#isText(DTYPE_NAMES[dtype], start)) {
        return dtype;
      }
    }
    return ABSENT;
  }

  #isText(text: Buffer, start: number): boolean {
    const bytes = this.#bytes;
    for (let i = 0; i < text.length; i++) {
      if (bytes[start + i] !== text[i]) return false;
    }
    return true;
  }

  /** Reads an integer into `#integer`; returns the position behind it, or ABSENT. */
  #readInteger(start: number): number {
    const bytes = this.#bytes;
    let pos = this.#readDigits(start);
    if (pos === start || (bytes[start] === ZERO && pos > start + 1)) return ABSENT;
    if (pos < start + CHUNK_DIGITS) return pos;
    // Two chunks of 32-bit integers are faster than one of doubles.
    const high = this.#integer;
    const lowStart = pos;
    pos = this.#readDigits(lowStart);
    if (pos === lowStart + CHUNK_DIGITS && isDigit(bytes[pos])) return ABSENT;
    const integer = high * POWERS_OF_TEN[pos - lowStart] + this.#integer;
    if (integer > MAX_SIZE) return ABSENT;
    this.#integer = integer;
    return pos;
  }

  /** Reads up to eight digits into `#integer`; returns the position behind them. */
  #readDigits(start: number): number {
    const bytes = this.#bytes;
    const view = this.#view;
    let pos = start;
    let integer = 0;
    for (; pos < start + CHUNK_DIGITS; pos += 4) {
      const four = fourDigits(view, pos);
      if (four < 0) break;
      integer = (integer * 10_000 + four) | 0;
    }
    while (pos < start + CHUNK_DIGITS && isDigit(bytes[pos])) {
      integer = (integer * 10 + bytes[pos] - ZERO) | 0;
      pos++;
    }
    this.#integer = integer;
    return pos;
  }
}

/** Where the description that begins at `start` is kept: dtype and shape are among these words. */
function slotOf(view: DataView, start: number): number {
  const mixed =
    Math.imul(view.getInt32(start + 12, true), 0x9e3779b1) ^
    Math.imul(view.getInt32(start + 28, true), 0x85ebca77) ^
    Math.imul(view.getInt32(start + 32, true), 0xc2b2ae3d);
  return mixed >>> (32 - SLOT_BITS);
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= ZERO + 9;
}
