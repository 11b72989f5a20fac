import { LENGTH_BYTES } from '../header/bytes.ts';
import { MAX_SIZE } from '../layout.ts';
import type { CheckedSpec } from './inputs.ts';
import { type CheckedLayout, MAX_HEADER_BYTES } from './options.ts';
import { inWritingOrder } from './order.ts';
import { STEP_TENSORS, type Steps } from './steps.ts';

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
export function* planFile<T extends CheckedSpec>(
  tensors: readonly T[],
  options: CheckedLayout,
): Steps<FilePlan<T>> {
  const sorted = yield* inWritingOrder(tensors);
  const positions = new Float64Array(sorted.length);
  const text = new HeaderText(usualHeaderUnits(sorted));
  text.add(`{${metadataItem(options)}`);
  let end = 0;
  let endText = '0';
  for (let i = 0; i < sorted.length; i++) {
    const { name, dtype, shape, byteLength } = sorted[i];
    const beginText = endText;
    positions[i] = end;
    end += byteLength;
    endText = String(end);
    if (end > MAX_SIZE) throw new RangeError('tensors: expected at most 2^53 − 1 bytes in all');
    // A name may be as long as no string can be when it is escaped.
    text.reserve(name.length);
    const comma = i > 0 || options.metadata ? ',' : '';
    text.add(
      `${comma}${quoted(name)}:{"dtype":"${dtype.name}","shape":[${shape.join(',')}],` +
        `"data_offsets":[${beginText},${endText}]}`,
    );
    if (i % STEP_TENSORS === 0) yield;
  }
  text.add('}');
  const header = text.framed(options.alignment);
  for (let i = 0; i < positions.length; i++) positions[i] += header.length;
  return { header, tensors: sorted, positions, byteLength: header.length + end };
}

/** `"":{"dtype":"F8_E4M3","shape":[],"data_offsets":[,]},`, and two offsets of files as they are. */
const USUAL_ENTRY_UNITS = 80;
/** Digits and a comma. */
const USUAL_DIMENSION_UNITS = 6;

/** About as long as the header will be, rather more than less. */
function usualHeaderUnits(tensors: readonly CheckedSpec[]): number {
  let units = 0;
  for (const { name, shape } of tensors) {
    units += USUAL_ENTRY_UNITS + name.length + USUAL_DIMENSION_UNITS * shape.length;
  }
  return Math.min(units, MAX_HEADER_BYTES);
}

/** What is its own escape. */
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * A string as the reference writes it. JSON.stringify escapes what serde does, and in the same way
 * (`"`, `\`, \b \f \n \r \t, other control characters as \u00xx), and lone surrogates, which are
 * refused before.
 */
export function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** `__metadata__` as an item of the header, and the room behind it. */
export function metadataItem({ metadata, headerPadding }: CheckedLayout): string {
  const room = ' '.repeat(headerPadding);
  return metadata === undefined ? room : `"__metadata__":${metadataValue(metadata)}${room}`;
}

export function metadataValue(metadata: Iterable<readonly [string, string]>): string {
  const parts: string[] = [];
  let units = 0;
  for (const [key, value] of metadata) {
    checkHeaderBytes(units + key.length + value.length);
    const part = `${quoted(key)}:${quoted(value)}`;
    units += part.length;
    checkHeaderBytes(units);
    parts.push(part);
  }
  return `{${parts.join(',')}}`;
}

/** @throws {RangeError} */
export function checkHeaderBytes(bytes: number): void {
  if (bytes <= MAX_HEADER_BYTES) return;
  throw new RangeError(`header: expected at most ${MAX_HEADER_BYTES} bytes, found ${bytes}`);
}

/** Units of UTF-16 that are kept as text before they become bytes. */
const PIECE_UNITS = 2 ** 14;

/** UTF-8 has at most so many bytes for a unit of UTF-16. */
const UNIT_BYTES = 3;

/** The header as it grows: its bytes behind room for its length. Says so when it becomes too long. */
class HeaderText {
  #bytes: Buffer;
  #end = LENGTH_BYTES;
  /** What is yet to become bytes. */
  #text = '';

  /**
   * With room for so many units; more is made when it is needed, beside what there was. Room that is never
   * written to takes no memory.
   */
  constructor(units: number) {
    this.#bytes = Buffer.allocUnsafeSlow(PIECE_UNITS + units);
  }

  /** Makes sure that so many UTF-16 units more may fit: each is a byte of UTF-8 at least. */
  reserve(units: number): void {
    checkHeaderBytes(this.#end - LENGTH_BYTES + this.#text.length + units);
  }

  add(text: string): void {
    this.reserve(text.length);
    this.#text += text;
    if (this.#text.length >= PIECE_UNITS) this.#encode();
  }

  /** Its length, and itself with spaces up to the alignment of the data. */
  framed(alignment: number): Buffer {
    this.#encode();
    const total = Math.ceil(this.#end / alignment) * alignment;
    checkHeaderBytes(total - LENGTH_BYTES);
    this.#makeRoom(total - this.#end);
    this.#bytes.fill(' ', this.#end, total);
    this.#bytes.writeBigUInt64LE(BigInt(total - LENGTH_BYTES));
    return this.#bytes.subarray(0, total);
  }

  #encode(): void {
    this.#makeRoom(UNIT_BYTES * this.#text.length);
    this.#end += this.#bytes.write(this.#text, this.#end);
    this.#text = '';
  }

  #makeRoom(bytes: number): void {
    const needed = this.#end + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}
