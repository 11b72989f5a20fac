import { DTYPES, type DtypeInfo } from '../dtypes.ts';
import { loadedNative } from '../native.ts';
import type { TableColumns } from './columns.ts';
import { decodeMetadata, type MetadataRanges } from './metadata.ts';
import type { NameIndex } from './name-index.ts';
import { readShape } from './shape.ts';

const encoder = new TextEncoder();

/** Whole words are read of a name that is looked for. */
const NAME_PADDING = 3;

/** The most bytes that a UTF-16 unit takes in UTF-8. */
const UNIT_BYTES = 3;

/** So many are worth being put together. */
const MANY_NAMES = 64;

/** Names together are no longer, so that their places are small numbers and no string ends up too long. */
const MOST_TOGETHER = 2 ** 26;

/** A name that is looked for, as UTF-8, unless it is a long one. */
const scratch = new Uint8Array(1024);
const scratchView = new DataView(scratch.buffer);

/**
 * A header that has passed every check, kept as it came: numbers in typed arrays, text in the
 * header's own bytes. A name, a shape or a metadata value becomes a JavaScript value only when it
 * is asked for, so that opening a model of 100,000 tensors makes no 100,000 objects.
 */
export class HeaderTable {
  /** Entries are numbered in the header's order. */
  readonly columns: TableColumns;
  readonly #bytes: Buffer;
  readonly #index: NameIndex;
  /** Entries in the order of their data; `undefined` when that is the header's order. */
  readonly #offsetOrder: Uint32Array | undefined;
  readonly #metadataRanges: MetadataRanges;
  #metadata: Readonly<Record<string, string>> | undefined;

  constructor(parts: {
    bytes: Buffer;
    columns: TableColumns;
    index: NameIndex;
    offsetOrder: Uint32Array | undefined;
    metadata: MetadataRanges;
  }) {
    this.#bytes = parts.bytes;
    this.columns = parts.columns;
    this.#index = parts.index;
    this.#offsetOrder = parts.offsetOrder;
    this.#metadataRanges = parts.metadata;
  }

  /** Number of tensors. */
  get count(): number {
    return this.columns.count;
  }

  /** The entry of a name, or -1. */
  indexOf(name: string): number {
    // In UTF-8 it is no shorter: no header that is shorter has it, and it need not be encoded.
    if (name.length > this.#bytes.length) return -1;
    // Encoding would turn a lone surrogate into U+FFFD, and find a tensor of another name.
    if (!name.isWellFormed()) return -1;
    const longest = UNIT_BYTES * name.length + NAME_PADDING;
    if (longest > scratch.length) return this.#indexOfLong(name, new Uint8Array(longest));
    return this.#index.find(scratchView, 0, encoder.encodeInto(name, scratch).written);
  }

  /** In memory of its own, which goes again. */
  #indexOfLong(name: string, utf8: Uint8Array): number {
    const { written } = encoder.encodeInto(name, utf8);
    return this.#index.find(new DataView(utf8.buffer), 0, written);
  }

  /**
   * {@link indexOf} of each name. The addon looks for many of them at once, if they are ASCII: one by one they
   * take several times as long, the first thousands of a process above all.
   */
  indicesOf(names: readonly string[]): Int32Array {
    const together =
      names.length >= MANY_NAMES && loadedNative() ? asciiOf(names, this.#bytes.length) : undefined;
    if (together === undefined) return Int32Array.from(names, (name) => this.indexOf(name));
    const found = new Int32Array(names.length);
    this.#index.findAll(together.bytes, together, found);
    return found;
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

  /** First and last + 1 byte of the tensor, from the start of its file's data. */
  dataOffsets(entry: number): [begin: number, end: number] {
    return [this.columns.begins[entry], this.columns.ends[entry]];
  }

  /** The entry that is number `rank` in the order of the data. */
  atOffsetRank(rank: number): number {
    return this.#offsetOrder === undefined ? rank : this.#offsetOrder[rank];
  }

  /** Entries in the order of their data. */
  inOrderOfData(entries: Int32Array): Int32Array {
    // Sorted by V8 itself, without a call for each comparison.
    if (this.#offsetOrder === undefined) return entries.toSorted();
    const { begins } = this.columns;
    return entries.toSorted((a, b) => begins[a] - begins[b]);
  }

  /** The tensor whose bytes hold `position`, or begin next after it; -1 behind the last. */
  atPosition(position: number): number {
    const rank = this.rankAt(position);
    return rank < this.count ? this.atOffsetRank(rank) : -1;
  }

  /** The place of that tensor in the order of the data; `count` behind the last. */
  rankAt(position: number): number {
    const { ends } = this.columns;
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ends[this.atOffsetRank(middle)] <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  get metadataCount(): number {
    return this.#metadataRanges.count;
  }

  /** `__metadata__`, frozen and without a prototype; empty when there is none. */
  get metadata(): Readonly<Record<string, string>> {
    this.#metadata ??= decodeMetadata(this.#bytes, this.#metadataRanges);
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

/** Names one behind the other; undefined when they are not all ASCII, or one is too long, or all together are. */
function asciiOf(names: readonly string[], longest: number) {
  const nameStarts = new Int32Array(names.length);
  const nameEnds = new Int32Array(names.length);
  let end = 0;
  for (let i = 0; i < names.length; i++) {
    nameStarts[i] = end;
    end += names[i].length;
    if (names[i].length > longest || end > MOST_TOGETHER) return undefined;
    nameEnds[i] = end;
  }
  const bytes = Buffer.from(names.join(''), 'utf8');
  // In UTF-8 only ASCII is as long as it was.
  if (bytes.length > end) return undefined;
  return { bytes, nameStarts, nameEnds, count: names.length };
}

/** Less in common than this is no help: most names of a model share their last word. */
const LEAST_LIKENESS = 0.6;
