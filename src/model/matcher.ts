import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import type { Columns, TableColumns } from '../header/columns.ts';
import { NameIndex } from '../header/name-index.ts';
import { type DuplicatePolicy, duplicateName, indexNames } from '../header/parse.ts';
import { native, type TableParts } from '../native.ts';
import { ShapeText } from './shape-text.ts';
import { shardRuns, type WeightMap } from './weight-map.ts';

const NOT_FOUND = -1;

/** A shard's header that is about to be matched. */
export interface MatchedShard {
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
  readonly shapes: ShapeText;
  readonly columns: TableColumns & { readonly begins: Float64Array };
  /** The model's entries in the order of their data, as far as {@link finish} has been told of them. */
  readonly offsetOrder: Uint32Array;
  readonly #map: WeightMap;
  readonly #path: string;
  readonly #duplicates: DuplicatePolicy;
  /** For each entry of the header that was matched last its entry in the index. */
  #matches = new Int32Array(0);
  /** How many of them are served. */
  #served = 0;
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
    this.shapes = new ShapeText(path);
    this.#duplicates = duplicates;
    const { bytes, nameStarts, nameEnds } = map;
    this.index = new NameIndex(bytes, nameStarts, nameEnds, map.count);
    if (duplicates === 'reject') {
      this.#distinct = this.index.insertDistinctAsync();
    } else {
      keepLast(map, this.index);
      this.#distinct = Promise.resolve(map.count);
    }
    // Whoever asks sees its error; until then it is nobody's.
    this.#distinct.catch(() => {});
    const { count } = map;
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
    shardRuns(map, (shard, first, end) => {
      this.#wanted[shard] += end - first;
    });
  }

  /**
   * Waits for the names of the index to be hashed, before which nothing can be matched.
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
    this.index.findAll(bytes, columns, this.#matches);
    const served = this.#takeUp(bytes, columns, place);
    if (served < 0) throw duplicateName(columns, -1 - served);
    // Nothing has been seen yet of duplicates among the tensors that are not served.
    if (served < count && this.#duplicates === 'reject') indexNames(bytes, columns, 'reject');
    this.#wanted[place.shard] -= served;
    this.#served = served;
  }

  /** By the addon, which is fast from the first header of a process on. */
  #takeUp(bytes: Buffer, from: Columns, { shard, dataStart }: MatchedShard): number {
    const { shapes, columns: to } = this;
    shapes.reserve(bytes.length);
    return native().takeUp(
      ...([bytes, from.count, this.#matches, shard, dataStart] as const),
      ...tableParts(from),
      to.count,
      ...tableParts(to),
      ...([this.#map.shards, this.#found, shapes.bytes, shapes.kept] as const),
    );
  }

  /**
   * Takes up into the order of the data what {@link match} has matched last.
   * @throws {SafetensorsError} INDEX_MISMATCH when the shard does not have all that it should
   */
  finish(shard: number, count: number, offsetOrder: Uint32Array | undefined): void {
    const matches = this.#matches;
    if (offsetOrder === undefined && this.#served === count) {
      // As of every model that the reference wrote; and quick, however cold the code is.
      this.offsetOrder.set(matches.subarray(0, count), this.#ordered);
      this.#ordered += count;
    } else {
      for (let rank = 0; rank < count; rank++) {
        const match = matches[offsetOrder === undefined ? rank : offsetOrder[rank]];
        if (match !== NOT_FOUND) this.offsetOrder[this.#ordered++] = match;
      }
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

function tableParts({ dtypes, begins, ends, shapeStarts }: TableColumns): TableParts {
  return [dtypes, begins, ends, shapeStarts];
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
  // The index has been made for all of them, and may look at what is behind the last.
  nameStarts.fill(-1, kept, map.count);
  map.count = kept;
  map.runs = Int32Array.from({ length: kept }, (_, entry) => entry).filter(
    (entry) => entry === 0 || shards[entry] !== shards[entry - 1],
  );
}
