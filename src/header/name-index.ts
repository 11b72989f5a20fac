const NOT_FOUND = -1;

/** Rounds for each word and at the end: HalfSipHash-1-3, the halves that Rust's HashMap uses too. */
const FINAL_ROUNDS = 3;

/**
 * A hash index over names that stay where they are, as bytes of a header.
 *
 * A file's author chooses the names, so the hash is a keyed one (HalfSipHash, Aumasson and
 * Bernstein 2012) under a key that no file can know: names made to collide do not.
 */
export class NameIndex {
  readonly #bytes: Uint8Array;
  readonly #starts: Uint32Array;
  readonly #ends: Uint32Array;
  /** Pairs of (entry + 1, hash), 0 where free; at most half are taken. */
  readonly #slots: Uint32Array;
  readonly #mask: number;
  readonly #key = crypto.getRandomValues(new Int32Array(2));

  /** For names at `bytes[starts[i], ends[i])`, of which `capacity` are to be inserted at most. */
  constructor(bytes: Uint8Array, starts: Uint32Array, ends: Uint32Array, capacity: number) {
    this.#bytes = bytes;
    this.#starts = starts;
    this.#ends = ends;
    const slots = 2 ** Math.ceil(Math.log2(2 * capacity + 1));
    this.#slots = new Uint32Array(2 * slots);
    this.#mask = slots - 1;
  }

  /** Adds name `entry`, unless it is there: returns the entry that has the same name, or -1. */
  insert(entry: number): number {
    const slots = this.#slots;
    const start = this.#starts[entry];
    const end = this.#ends[entry];
    const hash = this.#hash(this.#bytes, start, end);
    const slot = this.#slot(hash, this.#bytes, start, end);
    const found = slots[slot] - 1;
    if (found === NOT_FOUND) {
      slots[slot] = entry + 1;
      slots[slot + 1] = hash;
    }
    return found;
  }

  /** The entry of a name given as UTF-8, or -1. */
  find(name: Uint8Array, length: number): number {
    const hash = this.#hash(name, 0, length);
    return this.#slots[this.#slot(hash, name, 0, length)] - 1;
  }

  /** The slot that holds a name, or the free one where it belongs. */
  #slot(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    for (let i = hash & mask; ; i = (i + 1) & mask) {
      const entry = slots[2 * i] - 1;
      if (entry === NOT_FOUND) return 2 * i;
      if (slots[2 * i + 1] === hash && this.#equals(entry, bytes, start, end)) return 2 * i;
    }
  }

  #equals(entry: number, bytes: Uint8Array, start: number, end: number): boolean {
    const own = this.#bytes;
    const ownStart = this.#starts[entry];
    const length = end - start;
    if (this.#ends[entry] - ownStart !== length) return false;
    for (let i = 0; i < length; i++) {
      if (own[ownStart + i] !== bytes[start + i]) return false;
    }
    return true;
  }

  /** Unsigned 32-bit HalfSipHash-1-3 of `bytes[start, end)`. */
  #hash(bytes: Uint8Array, start: number, end: number): number {
    let v0 = this.#key[0];
    let v1 = this.#key[1];
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
    return (v1 ^ v3) >>> 0;
  }
}
