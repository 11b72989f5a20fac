import { randomFillSync } from 'node:crypto';
import { loadedNative, type NameIndexParts, native } from '../native.ts';
import { sameName } from './words.ts';

const NOT_FOUND = -1;

/** Where `count` names lie in their bytes. */
interface NamePlaces {
  readonly nameStarts: Int32Array;
  readonly nameEnds: Int32Array;
  readonly count: number;
}

/** Rounds that end the hash. */
const FINAL_ROUNDS = 3;

/**
 * A hash index over names that stay where they are, as bytes of a header.
 *
 * A file's author chooses the names, so the hash is keyed (HalfSipHash-1-3, Aumasson and Bernstein
 * 2012; the full-width one is what Rust's HashMap uses) under a key that no file can know: names
 * made to collide do not.
 */
export class NameIndex {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  readonly #count: number;
  /** Pairs of (entry + 1, hash), 0 where free; at most half are taken. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #keys = hashKeys();

  /**
   * For `count` names, of which `i` lies at `bytes[starts[i], ends[i])`; none is in it yet. Words are
   * read: three bytes behind the last name are needed.
   */
  constructor(bytes: Uint8Array, starts: Int32Array, ends: Int32Array, count: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#starts = starts;
    this.#ends = ends;
    this.#count = count;
    const slots = 2 ** Math.ceil(Math.log2(2 * count + 1));
    this.#slots = new Int32Array(2 * slots);
    this.#mask = slots - 1;
  }

  /**
   * Adds all names in their order, up to the first that is there already; how many it added. The index
   * must be empty. The addon does this, where there is one: a header that is the first of its process
   * has more names than V8 needs to have compiled it.
   */
  insertDistinct(): number {
    const native = loadedNative();
    if (native !== undefined) {
      const { indexNames } = native;
      return indexNames(...this.#parts());
    }
    let entry = 0;
    while (entry < this.#count && this.insert(entry) === NOT_FOUND) entry++;
    return entry;
  }

  /**
   * {@link insertDistinct} on another thread. Nobody may use the index, or change the names, before the
   * promise is settled.
   */
  async insertDistinctAsync(): Promise<number> {
    const native = loadedNative();
    if (native === undefined) return this.insertDistinct();
    const { indexNamesAsync } = native;
    return indexNamesAsync(...this.#parts());
  }

  /** Adds name `entry`, unless it is there: returns the entry that has the same name, or -1. */
  insert(entry: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    const hash = this.#hash(this.#view, this.#starts[entry], this.#ends[entry]);
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const other = slots[2 * i] - 1;
      if (other === NOT_FOUND) {
        slots[2 * i] = entry + 1;
        slots[2 * i + 1] = hash;
        return NOT_FOUND;
      }
      if (slots[2 * i + 1] === hash && this.#isSame(other, entry)) return other;
    }
  }

  /** The entry of the name that lies at `start`, as UTF-8 with three bytes behind it; or -1. */
  find(name: DataView, start: number, length: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    const hash = this.#hash(name, start, start + length);
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const entry = slots[2 * i] - 1;
      if (entry === NOT_FOUND) return NOT_FOUND;
      const entryStart = this.#starts[entry];
      if (
        slots[2 * i + 1] === hash &&
        this.#ends[entry] - entryStart === length &&
        sameName(this.#view, entryStart, name, start, length)
      ) {
        return entry;
      }
    }
  }

  /** Puts down in `found` the entry of each of other names, or -1; by the addon. */
  findAll(
    others: Uint8Array,
    { nameStarts, nameEnds, count }: NamePlaces,
    found: Int32Array,
  ): void {
    native().findNames(...this.#parts(), others, nameStarts, nameEnds, count, found);
  }

  #parts(): NameIndexParts {
    return [this.#bytes, this.#starts, this.#ends, this.#count, this.#slots, this.#keys];
  }

  #hash(view: DataView, start: number, end: number): number {
    return hashName(view, start, end, this.#keys[0], this.#keys[1]);
  }

  #isSame(a: number, b: number): boolean {
    const length = this.#ends[a] - this.#starts[a];
    return (
      this.#ends[b] - this.#starts[b] === length &&
      sameName(this.#view, this.#starts[a], this.#view, this.#starts[b], length)
    );
  }
}

/** Drawn once for each thread: that takes longer than to read a small header. */
let keys: Int32Array | undefined;

function hashKeys(): Int32Array {
  keys ??= randomFillSync(new Int32Array(2));
  return keys;
}

/** HalfSipHash-1-3 of the bytes from `start` to `end`, 32 bits; core/name_index.cc has it too. */
function hashName(view: DataView, start: number, end: number, key0: number, key1: number) {
  // `| 0` tells V8 that all four are 32-bit integers from the start: without, it keeps them as
  // doubles, and the hash takes twice as long.
  let v0 = key0 | 0;
  let v1 = key1 | 0;
  let v2 = 0x6c796765 ^ v0;
  let v3 = 0x74656462 ^ v1;
  const length = end - start;
  const words = length >>> 2;
  // One round a word, one for the tail with the length, then the final ones, which take nothing in.
  for (let i = 0; i <= words + FINAL_ROUNDS; i++) {
    let word = 0;
    if (i < words) {
      word = view.getInt32(start + 4 * i, true);
    } else if (i === words) {
      const tail = (1 << (8 * (length & 3))) - 1;
      word = (view.getInt32(start + 4 * i, true) & tail) | (length << 24);
    } else if (i === words + 1) {
      v2 ^= 0xff;
    }
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
  }
  return v1 ^ v3;
}
