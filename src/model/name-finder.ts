import type { KnownNames } from '../header/canonical.ts';
import { QUOTE } from '../header/json.ts';
import { NameIndex } from '../header/name-index.ts';
import { sameName, samePlainName } from '../header/words.ts';
import type { WeightMap } from './weight-map.ts';

export const NOT_FOUND = -1;

/**
 * How far the last two steps from match to match were leads to how far the next is: models repeat
 * themselves, whatever the order of the index and of the headers. So many pairs of steps are remembered.
 */
const STEPS = 256;

/**
 * Entries that may be looked at one by one, in all, while the names of the index are still being
 * hashed: fewer than hashing them here would cost.
 */
const MOST_LOOKED_AT = 2 ** 20;

/**
 * Finds names of headers in an index. Most follow each other there as those before them did: then a name
 * is compared once, with the one that is expected, and its end need not be looked for.
 */
export class NameFinder implements KnownNames {
  /** For each entry of the header that is being read its entry in the index, where that is known. */
  matches = new Int32Array(0);
  readonly #map: WeightMap;
  readonly #view: DataView;
  #index: NameIndex | undefined;
  /** What followed a pair of steps the last time, by {@link slotOf}. */
  readonly #steps = new Int32Array(STEPS).fill(1);
  /** The entry that was found last, the step to it, and the step before. */
  #last = -1;
  #step = 1;
  #stepBefore = 1;
  /** What the last call found. */
  #candidate = NOT_FOUND;
  /** First and last entry of each shard in the index, and the shard that is being read. */
  readonly #firsts: Int32Array;
  readonly #lasts: Int32Array;
  #shard = 0;
  #left = MOST_LOOKED_AT;

  constructor(map: WeightMap) {
    this.#map = map;
    const { bytes, count, shards, files } = map;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#firsts = new Int32Array(files.length).fill(NOT_FOUND);
    this.#lasts = new Int32Array(files.length);
    for (let entry = 0; entry < count; entry++) {
      const shard = shards[entry];
      if (this.#firsts[shard] === NOT_FOUND) this.#firsts[shard] = entry;
      this.#lasts[shard] = entry;
    }
  }

  /** The names, hashed: what is looked for from now on is looked for there. */
  set index(index: NameIndex) {
    this.#index = index;
  }

  /** Forgets the matches of the shard before; a header has at most so many entries. */
  begin(shard: number, mostEntries: number): void {
    this.#shard = shard;
    if (this.matches.length < mostEntries) this.matches = new Int32Array(2 * mostEntries);
    this.matches.fill(NOT_FOUND, 0, mostEntries);
  }

  expect(text: DataView, start: number): number {
    const guess = this.#last + this.#steps[slotOf(this.#step, this.#stepBefore)];
    const { nameStarts, nameEnds, count, arePlain } = this.#map;
    this.#candidate = NOT_FOUND;
    if (guess < 0 || guess >= count || !arePlain) return NOT_FOUND;
    const length = nameEnds[guess] - nameStarts[guess];
    const end = start + length;
    // The last bytes of the text are padding: there is a word to be read behind whatever lies before.
    if (end + 4 > text.byteLength || text.getUint8(end) !== QUOTE) return NOT_FOUND;
    if (!samePlainName(this.#view, nameStarts[guess], text, start, length)) return NOT_FOUND;
    this.#candidate = guess;
    return end;
  }

  find(text: DataView, start: number, end: number): void {
    this.#candidate = this.#find(text, start, end - start);
  }

  take(entry: number): void {
    const found = this.#candidate;
    this.matches[entry] = found;
    if (found === NOT_FOUND) return;
    const slot = slotOf(this.#step, this.#stepBefore);
    this.#stepBefore = this.#step;
    this.#step = found - this.#last;
    this.#steps[slot] = this.#step;
    this.#last = found;
  }

  #find(text: DataView, start: number, length: number): number {
    if (this.#index === undefined) {
      const entry = this.#lookFor(text, start, length);
      if (entry !== undefined) return entry;
      this.#index = hashed(this.#map);
    }
    return this.#index.find(text, start, length);
  }

  /** Looks at each entry of the shard; undefined when that would take too long. */
  #lookFor(text: DataView, start: number, length: number): number | undefined {
    const { nameStarts, nameEnds, shards } = this.#map;
    const shard = this.#shard;
    const last = this.#lasts[shard];
    let entry = this.#firsts[shard];
    this.#left -= last - entry;
    if (this.#left < 0) return undefined;
    for (; entry <= last; entry++) {
      const entryStart = nameStarts[entry];
      if (
        nameEnds[entry] - entryStart === length &&
        shards[entry] === shard &&
        sameName(this.#view, entryStart, text, start, length)
      ) {
        return entry;
      }
    }
    return NOT_FOUND;
  }
}

/** All names, which are known to have no duplicates or whose duplicates are somebody else's affair. */
function hashed({ bytes, nameStarts, nameEnds, count }: WeightMap): NameIndex {
  const index = new NameIndex(bytes, nameStarts, nameEnds, count);
  for (let entry = index.insertDistinct(); entry < count; entry++) index.insert(entry);
  return index;
}

function slotOf(step: number, before: number): number {
  return (Math.imul(step, 31) + before) & (STEPS - 1);
}
