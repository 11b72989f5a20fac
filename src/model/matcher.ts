import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import type { Columns, TableColumns } from '../header/columns.ts';
import { NameIndex } from '../header/name-index.ts';
import { type DuplicatePolicy, duplicateName, indexNames } from '../header/parse.ts';
import { sameName } from '../header/words.ts';
import { ShapeText } from './shape-text.ts';
import type { WeightMap } from './weight-map.ts';

const NOT_FOUND = -1;

/**
 * How far the last two steps from match to match were leads to how far the next is: models repeat
 * themselves, whatever the order of the index and of the headers. So many pairs of steps are remembered.
 */
const STEPS = 256;

/** A shard's header that is about to be matched. */
interface MatchedShard {
  /** Its place in the weight map's `files`. */
  readonly shard: number;
  /** Where its data begins in the range. */
  readonly dataStart: number;
}

/**
 * Finds for each tensor of a shard its entry in the index, and makes the columns of the model's table,
 * whose entries are those of the index.
 */
export class Matcher {
  readonly index: NameIndex;
  /** Where the `shapeStarts` of the columns lead. */
  readonly shapes = new ShapeText();
  readonly columns: TableColumns & { readonly begins: Float64Array };
  /** The model's entries in the order of their data, as far as {@link finish} has been told of them. */
  readonly offsetOrder: Uint32Array;
  readonly #map: WeightMap;
  readonly #view: DataView;
  readonly #path: string;
  readonly #duplicates: DuplicatePolicy;
  /** Whether a tensor has been found for an entry. */
  readonly #found: Uint8Array;
  /** How many tensors each shard must still have. */
  readonly #wanted: Uint32Array;
  #ordered = 0;
  /** For each entry of the shard that was matched last its entry in the index. */
  #matches = new Int32Array(0);
  /** What followed a pair of steps the last time, by {@link slotOf}. */
  readonly #steps = new Int32Array(STEPS).fill(1);
  /** The entry that was found last, the step to it, and the step before. */
  #last = -1;
  #step = 1;
  #stepBefore = 1;

  /** @throws {SafetensorsError} DUPLICATE_KEY for a name that is in the index twice */
  constructor(map: WeightMap, path: string, duplicates: DuplicatePolicy) {
    this.#map = map;
    this.#path = path;
    this.#duplicates = duplicates;
    const { bytes } = map;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.index = indexed(map, path, duplicates);
    const { count, nameStarts, nameEnds } = map;
    this.columns = {
      count,
      nameStarts,
      nameEnds,
      dtypes: new Uint8Array(count),
      begins: new Float64Array(count),
      ends: new Float64Array(count),
      shapeStarts: new Int32Array(count),
    };
    this.offsetOrder = new Uint32Array(count);
    this.#found = new Uint8Array(count);
    this.#wanted = new Uint32Array(map.files.length);
    for (let entry = 0; entry < count; entry++) this.#wanted[map.shards[entry]]++;
  }

  /**
   * Matches the entries of a shard's header, whose layout is still to be checked, and puts down what it
   * says of them. A tensor that the index does not have in this shard is not served.
   *
   * @throws {EntryFault} DUPLICATE_KEY
   */
  match(bytes: Buffer, columns: Columns, place: MatchedShard): void {
    if (this.#duplicates === 'last-wins') indexNames(bytes, columns, 'last-wins');
    const { count } = columns;
    if (this.#matches.length < count) this.#matches = new Int32Array(2 * count);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let served = 0;
    for (let entry = 0; entry < count; entry++) {
      served += this.#matchEntry(entry, bytes, view, columns, place);
    }
    // Nothing has been seen yet of duplicates among the tensors that are not served.
    if (served < count && this.#duplicates === 'reject') indexNames(bytes, columns, 'reject');
    this.#wanted[place.shard] -= served;
  }

  /** Small, as V8 likes it; returns 1 when the entry is served, and 0 when it is not. */
  #matchEntry(
    entry: number,
    bytes: Buffer,
    view: DataView,
    from: Columns,
    { shard, dataStart }: MatchedShard,
  ): number {
    const match = this.#find(view, from.nameStarts[entry], from.nameEnds[entry]);
    if (match === NOT_FOUND || this.#map.shards[match] !== shard) {
      this.#matches[entry] = NOT_FOUND;
      return 0;
    }
    if (this.#found[match] !== 0) throw duplicateName(from, entry);
    this.#matches[entry] = match;
    this.#found[match] = 1;
    const { dtypes, begins, ends, shapeStarts } = this.columns;
    dtypes[match] = from.dtypes[entry];
    begins[match] = dataStart + from.begins[entry];
    ends[match] = dataStart + from.ends[entry];
    shapeStarts[match] = this.shapes.add(bytes, from.shapeStarts[entry]);
    return 1;
  }

  /**
   * Takes up into the order of the data what {@link match} has matched last.
   * @throws {SafetensorsError} INDEX_MISMATCH when the shard does not have all that it should
   */
  finish(shard: number, count: number, offsetOrder: Uint32Array | undefined): void {
    for (let rank = 0; rank < count; rank++) {
      const match = this.#matches[offsetOrder === undefined ? rank : offsetOrder[rank]];
      if (match !== NOT_FOUND) this.offsetOrder[this.#ordered++] = match;
    }
    if (this.#wanted[shard] > 0) throw this.#mismatch(shard);
  }

  /** The entry of the index that has the name at `[start, end)`, or -1. */
  #find(view: DataView, start: number, end: number): number {
    const length = end - start;
    const slot = slotOf(this.#step, this.#stepBefore);
    const guess = this.#last + this.#steps[slot];
    const entry = this.#hasName(guess, view, start, length)
      ? guess
      : this.index.find(view, start, length);
    if (entry === NOT_FOUND) return NOT_FOUND;
    this.#stepBefore = this.#step;
    this.#step = entry - this.#last;
    this.#steps[slot] = this.#step;
    this.#last = entry;
    return entry;
  }

  #hasName(entry: number, view: DataView, start: number, length: number): boolean {
    const { nameStarts, nameEnds, count } = this.#map;
    if (entry < 0 || entry >= count) return false;
    const entryStart = nameStarts[entry];
    return (
      nameEnds[entry] - entryStart === length &&
      sameName(this.#view, entryStart, view, start, length)
    );
  }

  #mismatch(shard: number): SafetensorsError {
    const { bytes, nameStarts, nameEnds, shards, files } = this.#map;
    const entry = shards.findIndex((other, i) => other === shard && this.#found[i] === 0);
    const tensor = bytes.toString('utf8', nameStarts[entry], nameEnds[entry]);
    return new SafetensorsError(
      'INDEX_MISMATCH',
      `the index has tensor ${quoteName(tensor)} in ${quoteName(files[shard])}, which does not have it`,
      { path: this.#path, tensor },
    );
  }
}

/** Duplicates in the index are an error, or give way to the last of them. */
function indexed(map: WeightMap, path: string, duplicates: DuplicatePolicy): NameIndex {
  const { bytes, nameStarts, nameEnds, shards } = map;
  const index = new NameIndex(bytes, nameStarts, nameEnds, map.count);
  let kept = index.insertDistinct();
  if (kept < map.count && duplicates === 'reject') {
    const tensor = bytes.toString('utf8', nameStarts[kept], nameEnds[kept]);
    throw new SafetensorsError(
      'DUPLICATE_KEY',
      `tensor ${quoteName(tensor)} a second time in the weight_map, at byte ${nameStarts[kept]}`,
      { path, tensor },
    );
  }
  for (let entry = kept; entry < map.count; entry++) {
    nameStarts[kept] = nameStarts[entry];
    nameEnds[kept] = nameEnds[entry];
    shards[kept] = shards[entry];
    const earlier = index.insert(kept);
    if (earlier === NOT_FOUND) kept++;
    else shards[earlier] = shards[kept];
  }
  map.count = kept;
  return index;
}

function slotOf(step: number, before: number): number {
  return (Math.imul(step, 31) + before) & (STEPS - 1);
}
