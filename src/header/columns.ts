import type { Scanner } from './scanner.ts';
import { FITS } from './size.ts';

/** `"":{"dtype":"U8","shape":[],"data_offsets":[0,0]}`: no entry of a tensor is shorter. */
const SHORTEST_ENTRY_BYTES = 49;

/** The columns that a table is made of: see {@link Columns}. */
export type TableColumns = Readonly<
  Pick<Columns, 'count' | 'dtypes' | 'begins' | 'ends' | 'nameStarts' | 'nameEnds' | 'shapeStarts'>
>;

/**
 * What the header says of its tensors, a column for each property. Entries are numbered in the
 * order of the header.
 */
export class Columns {
  /** Number of entries; the columns are longer. */
  count = 0;
  /**
   * Whether every entry fits its bytes and begins where the one before it ended: then the order of
   * the header is that of the data, and there is nothing more to check of it.
   */
  tiles = true;
  #end = 0;
  /** Places in the table of dtypes. */
  readonly dtypes: Uint8Array;
  /** `data_offsets`: bytes from the start of the data. */
  readonly begins: Float64Array;
  readonly ends: Float64Array;
  /** Where names lie in the header, unescaped. */
  readonly nameStarts: Int32Array;
  readonly nameEnds: Int32Array;
  /** Where shapes lie in the header: just behind their opening bracket. */
  readonly shapeStarts: Int32Array;
  /** Whether shape and dtype agree with the offsets, from `sizeVerdict`. */
  readonly verdicts: Uint8Array;

  constructor(headerBytes: number) {
    // Room for as many entries as the header could hold. Pages that are never written cost nothing,
    // and the columns need not grow.
    const most = Math.ceil(headerBytes / SHORTEST_ENTRY_BYTES);
    // One buffer for all: what each costs is much of what opening a small file does.
    const buffer = new ArrayBuffer(most * (2 * 8 + 3 * 4 + 2));
    this.begins = new Float64Array(buffer, 0, most);
    this.ends = new Float64Array(buffer, 8 * most, most);
    this.nameStarts = new Int32Array(buffer, 16 * most, most);
    this.nameEnds = new Int32Array(buffer, 20 * most, most);
    this.shapeStarts = new Int32Array(buffer, 24 * most, most);
    this.dtypes = new Uint8Array(buffer, 28 * most, most);
    this.verdicts = new Uint8Array(buffer, 29 * most, most);
  }

  /** Whether they have room for the entries of any header of so many bytes. */
  fits(headerBytes: number): boolean {
    return Math.ceil(headerBytes / SHORTEST_ENTRY_BYTES) <= this.dtypes.length;
  }

  /** Forgets all entries. */
  clear(): void {
    this.count = 0;
    this.tiles = true;
    this.#end = 0;
  }

  /** Adds an entry; `verdict` is that of `sizeVerdict`. */
  add(
    nameStart: number,
    nameEnd: number,
    dtype: number,
    shapeStart: number,
    verdict: number,
    begin: number,
    end: number,
  ): void {
    const entry = this.count++;
    this.nameStarts[entry] = nameStart;
    this.nameEnds[entry] = nameEnd;
    this.dtypes[entry] = dtype;
    this.shapeStarts[entry] = shapeStart;
    this.begins[entry] = begin;
    this.ends[entry] = end;
    this.verdicts[entry] = verdict;
    if (begin !== this.#end || verdict !== FITS) this.tiles = false;
    this.#end = end;
  }

  /** Adds the entries that the scanner has read: all have the size that they say. */
  addAll(scanner: Scanner): void {
    const { count, tiles } = scanner.exports;
    const added = count.value;
    const first = this.count;
    put(this.nameStarts, scanner.nameStarts, first, added);
    put(this.nameEnds, scanner.nameEnds, first, added);
    put(this.dtypes, scanner.dtypes, first, added);
    put(this.shapeStarts, scanner.shapeStarts, first, added);
    put(this.begins, scanner.begins, first, added);
    put(this.ends, scanner.ends, first, added);
    this.verdicts.fill(FITS, first, first + added);
    this.count = first + added;
    if (tiles.value === 0 || this.begins[first] !== this.#end) this.tiles = false;
    this.#end = this.ends[this.count - 1];
  }

  /** Copies entry `from` over entry `to`. */
  move(from: number, to: number): void {
    this.tiles = false;
    const { dtypes, begins, ends, nameStarts, nameEnds, shapeStarts, verdicts } = this;
    for (const column of [dtypes, begins, ends, nameStarts, nameEnds, shapeStarts, verdicts]) {
      column[to] = column[from];
    }
  }
}

/** A few are put down one by one: what a copy costs beside its bytes is more than that. */
const FEW = 8;

/** Copies the first `count` of `from` to where `at` is in `to`. */
export function put<Column extends Uint8Array | Int32Array | Float64Array>(
  to: Column,
  from: Column,
  at: number,
  count: number,
): void {
  if (count > FEW) {
    to.set(from.subarray(0, count), at);
    return;
  }
  for (let i = 0; i < count; i++) to[at + i] = from[i];
}
