const NOT_FOUND = -1;

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
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  /** Pairs of (entry + 1, hash), 0 where free; at most half are taken. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  readonly #key0: number;
  readonly #key1: number;
  readonly #hashes: Int32Array;

  /** For `count` names, of which `i` lies at `bytes[starts[i], ends[i])`; none is in it yet. */
  constructor(bytes: Uint8Array, starts: Int32Array, ends: Int32Array, count: number) {
    this.#bytes = bytes;
    this.#starts = starts;
    this.#ends = ends;
    const slots = 2 ** Math.ceil(Math.log2(2 * count + 1));
    this.#slots = new Int32Array(2 * slots);
    this.#mask = slots - 1;
    const [key0, key1] = crypto.getRandomValues(new Int32Array(2));
    this.#key0 = key0;
    this.#key1 = key1;
    // All hashes first: the processor works on several names at once as long as no branch depends
    // on a hash. Twice as fast as hashing each when it is inserted.
    this.#hashes = new Int32Array(count);
    for (let i = 0; i < count; i++) {
      this.#hashes[i] = hashName(bytes, starts[i], ends[i], key0, key1);
    }
  }

  /**
   * Adds name `entry`, unless it is there: returns the entry that has the same name, or -1.
   * `was` is the number that the entry had when the index was made.
   */
  insert(entry: number, was = entry): number {
    const bytes = this.#bytes;
    const starts = this.#starts;
    const ends = this.#ends;
    const slots = this.#slots;
    const mask = this.#mask;
    const start = starts[entry];
    const end = ends[entry];
    const hash = this.#hashes[was];
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const other = slots[2 * i] - 1;
      if (other === NOT_FOUND) {
        slots[2 * i] = entry + 1;
        slots[2 * i + 1] = hash;
        return NOT_FOUND;
      }
      if (
        slots[2 * i + 1] === hash &&
        sameBytes(bytes, starts[other], ends[other], bytes, start, end)
      ) {
        return other;
      }
    }
  }

  /** The entry of a name given as UTF-8, or -1. */
  find(name: Uint8Array, length: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    const hash = hashName(name, 0, length, this.#key0, this.#key1);
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const entry = slots[2 * i] - 1;
      if (entry === NOT_FOUND) return NOT_FOUND;
      if (
        slots[2 * i + 1] === hash &&
        sameBytes(this.#bytes, this.#starts[entry], this.#ends[entry], name, 0, length)
      ) {
        return entry;
      }
    }
  }
}

function sameBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): boolean {
  const length = bEnd - bStart;
  if (aEnd - aStart !== length) return false;
  for (let i = 0; i < length; i++) {
    if (a[aStart + i] !== b[bStart + i]) return false;
  }
  return true;
}

/** HalfSipHash-1-3 of `bytes[start, end)`, 32 bits. */
function hashName(bytes: Uint8Array, start: number, end: number, key0: number, key1: number) {
  // `| 0` tells V8 that all four are 32-bit integers from the start: without, it keeps them as
  // doubles, and the hash takes twice as long.
  let v0 = key0 | 0;
  let v1 = key1 | 0;
  let v2 = 0x6c796765 ^ v0;
  let v3 = 0x74656462 ^ v1;
  const words = (end - start) >>> 2;
  let pos = start;
  // One round a word, one for the tail with the length, then the final ones, which take nothing in.
  for (let i = 0; i <= words + FINAL_ROUNDS; i++) {
    let word = 0;
    if (i < words) {
      word = bytes[pos] | (bytes[pos + 1] << 8) | (bytes[pos + 2] << 16) | (bytes[pos + 3] << 24);
      pos += 4;
    } else if (i === words) {
      word = (end - start) << 24;
      for (let shift = 0; pos < end; shift += 8) word |= bytes[pos++] << shift;
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
