import { decodeMetadata, type KeptMetadata, NO_METADATA } from '../header/metadata.ts';
import { readShape } from '../header/shape.ts';
import { HeaderTable } from '../header/table.ts';
import type { Matcher } from './matcher.ts';
import type { WeightMap } from './weight-map.ts';

/** What is kept of a shard's header. */
export interface ShardHeader {
  readonly metadata: KeptMetadata;
  /** Where the data of the shard begins in the range. */
  readonly dataStart: number;
}

/** More keys than any header has that was not made to be a nuisance. */
const MANY_KEYS = 10_000;

/**
 * The tensors of all shards. Entries are numbered in the order of the index, whose text has their
 * names.
 */
export class ModelTable extends HeaderTable {
  readonly #headers: readonly ShardHeader[];
  readonly #shards: Int32Array;
  readonly #shapes: Uint8Array;
  #merged: Readonly<Record<string, string>> | undefined;

  constructor(map: WeightMap, matcher: Matcher, headers: readonly ShardHeader[]) {
    const { columns, index, offsetOrder } = matcher;
    super({ bytes: map.bytes, columns, index, offsetOrder, metadata: NO_METADATA });
    this.#headers = headers;
    this.#shards = map.shards;
    this.#shapes = matcher.shapes.finish();
  }

  /** The place of a tensor's shard among all. */
  shardOf(entry: number): number {
    return this.#shards[entry];
  }

  override shape(entry: number): number[] {
    return readShape(this.#shapes, this.columns.shapeStarts[entry]);
  }

  override dataOffsets(entry: number): [begin: number, end: number] {
    const { dataStart } = this.#headers[this.#shards[entry]];
    const { begins, ends } = this.columns;
    return [begins[entry] - dataStart, ends[entry] - dataStart];
  }

  /** Exact, or that of the shard with the most where it is large. */
  override get metadataCount(): number {
    const most = Math.max(0, ...this.#headers.map(({ metadata }) => metadata.ranges.count));
    return most > MANY_KEYS ? most : Object.keys(this.metadata).length;
  }

  /** That of all shards; of a key that several have, the value of the first. */
  override get metadata(): Readonly<Record<string, string>> {
    this.#merged ??= merged(this.#headers);
    return this.#merged;
  }
}

function merged(headers: readonly ShardHeader[]): Readonly<Record<string, string>> {
  const all: Record<string, string> = Object.create(null);
  for (const { metadata } of headers) {
    const own = decodeMetadata(metadata.bytes, metadata.ranges);
    for (const key of Object.keys(own)) if (!(key in all)) all[key] = own[key];
  }
  return Object.freeze(all);
}
