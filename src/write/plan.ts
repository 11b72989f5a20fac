import { LENGTH_BYTES } from '../header/bytes.ts';
import { MAX_SIZE } from '../layout.ts';
import type { CheckedSpec } from './inputs.ts';
import { type CheckedLayout, DEFAULT_ALIGNMENT, MAX_HEADER_BYTES } from './options.ts';

/** What a file is to hold, and where: everything that is known before its data is. */
export interface FilePlan<T extends CheckedSpec = CheckedSpec> {
  /** The length of the header and the header, padded: all that comes before the data. */
  readonly header: Buffer;
  /** In the order of the data, which is that of the header. */
  readonly tensors: readonly T[];
  /** Where the data of each begins in the file. */
  readonly positions: Float64Array;
  /** Bytes of the file. */
  readonly byteLength: number;
}

/**
 * Lays out a file as the reference does: dtypes of the largest alignment first, then names by code
 * point, compact JSON, spaces behind it up to the alignment.
 *
 * @throws {RangeError} when the header or the file is over the limits of the format
 */
export function planFile<T extends CheckedSpec>(
  tensors: readonly T[],
  options: CheckedLayout,
): FilePlan<T> {
  const sorted = inWritingOrder(tensors);
  const positions = new Float64Array(sorted.length);
  const text = new HeaderText();
  text.add(`{${metadataItem(options)}`);
  let end = 0;
  for (const [i, { name, dtype, shape, byteLength }] of sorted.entries()) {
    const begin = end;
    positions[i] = begin;
    end += byteLength;
    if (end > MAX_SIZE) throw new RangeError('tensors: expected at most 2^53 − 1 bytes in all');
    // A name may be as long as no string can be when it is escaped.
    text.reserve(name.length);
    const comma = i > 0 || options.metadata ? ',' : '';
    text.add(
      `${comma}${quoted(name)}:{"dtype":"${dtype.name}","shape":[${shape.join(',')}],` +
        `"data_offsets":[${begin},${end}]}`,
    );
  }
  text.add('}');
  const header = framed(text.toString(), options.alignment);
  for (let i = 0; i < positions.length; i++) positions[i] += header.length;
  return { header, tensors: sorted, positions, byteLength: header.length + end };
}

/**
 * A string as the reference writes it. JSON.stringify escapes what serde does, and in the same way
 * (`"`, `\`, \b \f \n \r \t, other control characters as \u00xx), and lone surrogates, which are
 * refused before.
 */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

/** `__metadata__` as an item of the header, and the room behind it. */
export function metadataItem({ metadata, headerPadding }: CheckedLayout): string {
  const room = ' '.repeat(headerPadding);
  return metadata === undefined ? room : `"__metadata__":${metadataValue(metadata)}${room}`;
}

export function metadataValue(metadata: Iterable<readonly [string, string]>): string {
  const text = new HeaderText();
  for (const [key, value] of metadata) {
    text.reserve(key.length + value.length);
    text.add(`${quoted(key)}:${quoted(value)}`);
  }
  return `{${text.toString(',')}}`;
}

/** The header behind its length, with spaces up to the alignment of the data. */
export function framed(json: string, alignment = DEFAULT_ALIGNMENT): Buffer {
  const bytes = LENGTH_BYTES + Buffer.byteLength(json);
  const total = Math.ceil(bytes / alignment) * alignment;
  checkHeaderBytes(total - LENGTH_BYTES);
  const header = Buffer.alloc(total, ' ');
  header.writeBigUInt64LE(BigInt(total - LENGTH_BYTES));
  header.write(json, LENGTH_BYTES);
  return header;
}

/** @throws {RangeError} */
export function checkHeaderBytes(bytes: number): void {
  if (bytes <= MAX_HEADER_BYTES) return;
  throw new RangeError(`header: expected at most ${MAX_HEADER_BYTES} bytes, found ${bytes}`);
}

/** Text that may become too long for a header, and says so before it is too long for a string. */
class HeaderText {
  readonly #parts: string[] = [];
  #units = 0;

  /** Makes sure that so many UTF-16 units more may fit: each is a byte of UTF-8 at least. */
  reserve(units: number): void {
    checkHeaderBytes(this.#units + units);
  }

  add(part: string): void {
    this.#units += part.length;
    checkHeaderBytes(this.#units);
    this.#parts.push(part);
  }

  toString(separator = ''): string {
    return this.#parts.join(separator);
  }
}

function inWritingOrder<T extends CheckedSpec>(tensors: readonly T[]): T[] {
  // `<` compares UTF-16 units, which is the order of code points up to the first surrogate.
  const compare = tensors.some(({ name }) => /[\ud800-\udfff]/.test(name))
    ? compareCodePoints
    : compareUnits;
  return tensors.toSorted((a, b) => b.dtype.code - a.dtype.code || compare(a.name, b.name));
}

function compareUnits(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** By code point, which is by the bytes of UTF-8. */
function compareCodePoints(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  for (let i = 0; i < shorter; i++) {
    const unitA = a.charCodeAt(i);
    const unitB = b.charCodeAt(i);
    if (unitA !== unitB) return rankOfUnit(unitA) - rankOfUnit(unitB);
  }
  return a.length - b.length;
}

/** Surrogates stand for code points above all others, and above those of U+E000 to U+FFFF too. */
function rankOfUnit(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
