import { DTYPES, type DtypeInfo } from '../dtypes.ts';
import { byteCount } from '../layout.ts';
import { CLOSE_BRACKET } from './json.ts';
import type { NameIndex } from './name-index.ts';

/** What is said of one tensor, by entry number; columns may be longer than the entries there are. */
export interface Columns {
  /** Places in {@link DTYPES}. */
  readonly dtypes: Uint8Array;
  /** `data_offsets`: bytes from the start of the data. */
  readonly begins: Float64Array;
  readonly ends: Float64Array;
  /** Where names lie in the header, unescaped. */
  readonly nameStarts: Uint32Array;
  readonly nameEnds: Uint32Array;
  /** Where shapes lie in the header: just behind their opening bracket. */
  readonly shapeStarts: Uint32Array;
}

/** Keys and values of `__metadata__` as places in the header: four numbers a pair. */
export interface MetadataRanges {
  readonly ranges: Uint32Array;
  readonly count: number;
}

const encoder = new TextEncoder();
let scratch = new Uint8Array(1024);

/**
 * A header that has passed every check, kept as it came: numbers in typed arrays, text in the
 * header's own bytes. A name, a shape or a metadata value becomes a JavaScript value only when it
 * is asked for, so that opening a model of 100,000 tensors makes no 100,000 objects.
 */
export class HeaderTable {
  /** Number of tensors. Entries are numbered in the header's order. */
  readonly count: number;
  /** Bytes of the data: the end of the last tensor. */
  readonly dataLength: number;
  readonly columns: Columns;
  readonly #bytes: Buffer;
  readonly #index: NameIndex;
  /** Entries in the order of their data; `undefined` when that is the header's order. */
  readonly #offsetOrder: Uint32Array | undefined;
  readonly #metadataRanges: MetadataRanges;
  #metadata: Readonly<Record<string, string>> | undefined;

  constructor(parts: {
    bytes: Buffer;
    count: number;
    dataLength: number;
    columns: Columns;
    index: NameIndex;
    offsetOrder: Uint32Array | undefined;
    metadata: MetadataRanges;
  }) {
    this.#bytes = parts.bytes;
    this.count = parts.count;
    this.dataLength = parts.dataLength;
    this.columns = parts.columns;
    this.#index = parts.index;
    this.#offsetOrder = parts.offsetOrder;
    this.#metadataRanges = parts.metadata;
  }

  /** The entry of a name, or -1. */
  indexOf(name: string): number {
    // Encoding would turn a lone surrogate into U+FFFD, and find a tensor of another name.
    if (!name.isWellFormed()) return -1;
    const longest = 3 * name.length;
    if (scratch.length < longest) scratch = new Uint8Array(2 * longest);
    return this.#index.find(scratch, encoder.encodeInto(name, scratch).written);
  }

  name(entry: number): string {
    const { nameStarts, nameEnds } = this.columns;
    return this.#bytes.toString('utf8', nameStarts[entry], nameEnds[entry]);
  }

  dtype(entry: number): DtypeInfo {
    return DTYPES[this.columns.dtypes[entry]];
  }

  shape(entry: number): number[] {
    return readShape(this.#bytes, this.columns.shapeStarts[entry]);
  }

  byteLength(entry: number): number {
    return this.columns.ends[entry] - this.columns.begins[entry];
  }

  /** Number of elements; follows from the bytes, since they were checked against the shape. */
  size(entry: number): number {
    // Inverse of byteCount: exact, because an element count is at most 2^53 − 1.
    return (this.byteLength(entry) / byteCount(8, this.dtype(entry).bits)) * 8;
  }

  /** The entry that is number `rank` in the order of the data. */
  atOffsetRank(rank: number): number {
    return this.#offsetOrder === undefined ? rank : this.#offsetOrder[rank];
  }

  /** `__metadata__`, frozen and without a prototype; empty when there is none. */
  get metadata(): Readonly<Record<string, string>> {
    if (this.#metadata === undefined) {
      const { ranges, count } = this.#metadataRanges;
      const metadata: Record<string, string> = Object.create(null);
      for (let at = 0; at < 4 * count; at += 4) {
        const key = this.#bytes.toString('utf8', ranges[at], ranges[at + 1]);
        metadata[key] = this.#bytes.toString('utf8', ranges[at + 2], ranges[at + 3]);
      }
      this.#metadata = Object.freeze(metadata);
    }
    return this.#metadata;
  }

  /** Up to `most` names that are most like `name`, by what they share at their ends. */
  nearest(name: string, most: number): string[] {
    const wanted = encoder.encode(name);
    const best: { entry: number; likeness: number }[] = [];
    for (let entry = 0; entry < this.count; entry++) {
      const likeness = this.#likeness(entry, wanted);
      const last = best.at(most - 1);
      if (likeness < LEAST_LIKENESS || (last && likeness <= last.likeness)) continue;
      best.push({ entry, likeness });
      best.sort((a, b) => b.likeness - a.likeness);
      best.length = Math.min(best.length, most);
    }
    return best.map(({ entry }) => this.name(entry));
  }

  /** Bytes in common at both ends, as a part of the longer name: 1 for equal names. */
  #likeness(entry: number, wanted: Uint8Array): number {
    const bytes = this.#bytes;
    const start = this.columns.nameStarts[entry];
    const end = this.columns.nameEnds[entry];
    const shorter = Math.min(end - start, wanted.length);
    let same = 0;
    while (same < shorter && bytes[start + same] === wanted[same]) same++;
    let tail = 0;
    while (same + tail < shorter && bytes[end - 1 - tail] === wanted[wanted.length - 1 - tail])
      tail++;
    return (same + tail) / Math.max(end - start, wanted.length);
  }
}

/** Less in common than this is no help: most names of a model share their last word. */
const LEAST_LIKENESS = 0.6;

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
