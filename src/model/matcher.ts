import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import type { Columns, TableColumns } from '../header/columns.ts';
import { NameIndex } from '../header/name-index.ts';
import { type DuplicatePolicy, duplicateName, indexNames } from '../header/parse.ts';
import { NameFinder, NOT_FOUND } from './name-finder.ts';
import { ShapeText } from './shape-text.ts';
import type { WeightMap } from './weight-map.ts';

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
  /** What is told of a header's names while it is read; nothing where a later one may take another's place. */
  readonly knownNames: NameFinder | undefined;
  /** Where the `shapeStarts` of the columns lead. */
  readonly shapes = new ShapeText();
  readonly columns: TableColumns & { readonly begins: Float64Array };
  /** The model's entries in the order of their data, as far as {@link finish} has been told of them. */
  readonly offsetOrder: Uint32Array;
  readonly #map: WeightMap;
  readonly #path: string;
  readonly #duplicates: DuplicatePolicy;
  readonly #finder: NameFinder;
  /** Names of the index that are there once, as soon as that is known. */
  readonly #distinct: Promise<number>;
  /** Whether a tensor has been found for an entry. */
  readonly #found: Uint8Array;
  /** How many tensors each shard must still have. */
  readonly #wanted: Uint32Array;
  #ordered = 0;

  /** Begins to hash the names of the index, on another thread. */
  constructor(map: WeightMap, path: string, duplicates: DuplicatePolicy) {
    this.#map = map;
    this.#path = path;
    this.#duplicates = duplicates;
    const { bytes, nameStarts, nameEnds } = map;
    this.index = new NameIndex(bytes, nameStarts, nameEnds, map.count);
    if (duplicates === 'reject') {
      this.#distinct = this.index.insertDistinctAsync();
    } else {
      keepLast(map, this.index);
      this.#distinct = Promise.resolve(map.count);
    }
    const { count } = map;
    this.#finder = new NameFinder(map);
    this.#distinct.then(
      (distinct) => {
        if (distinct === count) this.#finder.index = this.index;
      },
      () => {},
    );
    this.knownNames = duplicates === 'reject' ? this.#finder : undefined;
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
   * Waits for the names of the index to be hashed.
   * @throws {SafetensorsError} DUPLICATE_KEY for a name that is in the index twice
   */
  async checkIndex(): Promise<void> {
    const distinct = await this.#distinct;
    const { bytes, count, nameStarts, nameEnds } = this.#map;
    if (distinct === count) return;
    const start = nameStarts[distinct];
    const tensor = bytes.toString('utf8', start, nameEnds[distinct]);
    const message = `tensor ${quoteName(tensor)} a second time in the weight_map, at byte ${start}`;
    throw new SafetensorsError('DUPLICATE_KEY', message, { path: this.#path, tensor });
  }

  /** Before a shard's header is read, which has at most so many entries. */
  begin(shard: number, mostEntries: number): void {
    this.#finder.begin(shard, mostEntries);
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
    const { matches } = this.#finder;
    let match = matches[entry];
    if (match === NOT_FOUND) match = this.#find(entry, view, from);
    if (match === NOT_FOUND || this.#map.shards[match] !== shard) {
      matches[entry] = NOT_FOUND;
      return 0;
    }
    if (this.#found[match] !== 0) throw duplicateName(from, entry);
    this.#found[match] = 1;
    const { dtypes, begins, ends, shapeStarts } = this.columns;
    dtypes[match] = from.dtypes[entry];
    begins[match] = dataStart + from.begins[entry];
    ends[match] = dataStart + from.ends[entry];
    shapeStarts[match] = this.shapes.add(bytes, from.shapeStarts[entry]);
    return 1;
  }

  /** The entry in the index of a name that was not told of while the header was read. */
  #find(entry: number, view: DataView, { nameStarts, nameEnds }: Columns): number {
    const finder = this.#finder;
    const end = nameEnds[entry];
    if (finder.expect(view, nameStarts[entry]) !== end) finder.find(view, nameStarts[entry], end);
    finder.take(entry);
    return finder.matches[entry];
  }

  /**
   * Takes up into the order of the data what {@link match} has matched last.
   * @throws {SafetensorsError} INDEX_MISMATCH when the shard does not have all that it should
   */
  finish(shard: number, count: number, offsetOrder: Uint32Array | undefined): void {
    const { matches } = this.#finder;
    for (let rank = 0; rank < count; rank++) {
      const match = matches[offsetOrder === undefined ? rank : offsetOrder[rank]];
      if (match !== NOT_FOUND) this.offsetOrder[this.#ordered++] = match;
    }
    if (this.#wanted[shard] > 0) throw this.#mismatch(shard);
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

/** Of names that are in the index twice the last counts. */
function keepLast(map: WeightMap, index: NameIndex): void {
  const { nameStarts, nameEnds, shards } = map;
  let kept = index.insertDistinct();
  for (let entry = kept; entry < map.count; entry++) {
    nameStarts[kept] = nameStarts[entry];
    nameEnds[kept] = nameEnds[entry];
    shards[kept] = shards[entry];
    const earlier = index.insert(kept);
    if (earlier === NOT_FOUND) kept++;
    else shards[earlier] = shards[kept];
  }
  map.count = kept;
}
