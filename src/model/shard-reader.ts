import { SafetensorsError } from '../errors.ts';
import { HEADER_PADDING, LENGTH_BYTES } from '../header/bytes.ts';
import { Columns } from '../header/columns.ts';
import { keptMetadata } from '../header/metadata.ts';
import { ScannedHeader } from '../header/parse.ts';
import { PREAMBLE_BYTES } from '../header/preamble.ts';
import { type FileHandle, type NativeFailure, native, type OpenedFile } from '../native.ts';
import { type CheckedOptions, MOST_HEADERS } from '../open-options.ts';
import { Opening, type RawHeader } from '../opening.ts';
import type { ReadFile } from '../storage/byte-reader.ts';
import type { MatchedShard, Matcher } from './matcher.ts';
import type { WatchedFile } from './model.ts';
import type { ShardHeader } from './model-table.ts';
import { type PlannedShard, shardError } from './range.ts';

/**
 * Shards that one trip to another thread opens, since a trip costs more than an open; and trips ahead of
 * the shard whose header is being checked. Together they bound descriptors and memory.
 */
const BATCH = 12;
const BATCHES_AHEAD = 3;

/** Beginnings of shards are read in multiples of a page, as the memory for them is given out. */
const PREFIX_STEP = 4096;
/** Most that is read at once of a shard before its header's length is known. */
const MOST_PREFIX_BYTES = 2 ** 20;

/** Bytes of headers that are scanned before the first of them is matched; their columns take less again. */
const MOST_SCANNED_BYTES = 2 ** 22;

/** What reading has come to when it is done. */
export interface ReadShards {
  readonly headers: ShardHeader[];
  readonly shards: WatchedFile[];
}

interface OpenedShard extends WatchedFile {
  readonly header: RawHeader;
  /** The memory that the header may be in, and which is free again when that has been checked. */
  readonly prefix: Buffer;
}

interface ScannedShard {
  readonly opened: OpenedShard;
  readonly header: ScannedHeader;
}

/**
 * Opens the shards of a model on other threads, maps them into its range or not, and checks their headers
 * in turn. A mapped shard's descriptor is closed when its header has been read.
 */
export class ShardReader {
  readonly #range: FileHandle;
  readonly #shards: readonly PlannedShard[];
  /** Bytes that are read at once of each shard: the whole header of all, most likely. */
  readonly #prefixBytes: number;
  readonly #freePrefixes: Buffer[] = [];
  readonly #options: CheckedOptions;
  readonly #map: boolean;
  /** Those of shards that are not mapped, by their places. */
  readonly #files: ReadFile[] = [];
  /** Batches that have been started and not been taken, in their order. */
  readonly #pending: Promise<OpenedShard[]>[] = [];
  #started = 0;
  readonly #freeColumns: Columns[] = [];
  #headerBytes = 0;

  constructor(
    range: FileHandle,
    shards: readonly PlannedShard[],
    headerBytes: number,
    options: CheckedOptions & { readonly map: boolean },
  ) {
    this.#range = range;
    this.#map = options.map;
    this.#shards = shards;
    const wanted = LENGTH_BYTES + headerBytes + HEADER_PADDING;
    const bounded = Math.min(Math.max(wanted, PREAMBLE_BYTES), MOST_PREFIX_BYTES);
    this.#prefixBytes = Math.ceil(bounded / PREFIX_STEP) * PREFIX_STEP;
    this.#options = options;
  }

  /** Starts as many shards as may be open ahead. */
  #start(): void {
    while (this.#pending.length < BATCHES_AHEAD && this.#started < this.#shards.length) {
      const first = this.#started;
      this.#started = Math.min(first + BATCH, this.#shards.length);
      const opening = this.#open(first, this.#started);
      // Whoever takes it sees its error; until then it is nobody's.
      opening.catch(() => {});
      this.#pending.push(opening);
    }
  }

  /**
   * Checks the headers of all shards, and matches their tensors.
   * @throws {SafetensorsError} for everything the format refuses; INDEX_MISMATCH, SHARD_MISSING
   */
  async matchAll(matcher: Matcher): Promise<ReadShards> {
    const read: ReadShards = { headers: [], shards: [] };
    for (;;) {
      this.#start();
      const batch = await this.#pending.shift();
      if (batch === undefined) return read;
      this.#start();
      for (const group of this.#scanned(batch)) {
        // The names of the index are hashed while the first of them are scanned.
        await matcher.checkIndex();
        for (const { opened, header } of group) {
          const { path, fullPath, identity, prefix } = opened;
          const shard = read.headers.length;
          const dataStart = this.#shards[shard].base + opened.header.dataStart;
          read.headers.push(match(header, { shard, dataStart }, matcher));
          read.shards.push({ path, fullPath, identity });
          this.#freePrefixes.push(prefix);
          // Large ones are for headers that are as rare.
          if (header.bytes.length <= MOST_SCANNED_BYTES) this.#freeColumns.push(header.columns);
        }
      }
    }
  }

  /** Shards whose headers are right in their grammar, as many at once as there is some memory for. */
  *#scanned(batch: readonly OpenedShard[]): Generator<readonly ScannedShard[]> {
    let group: ScannedShard[] = [];
    let bytes = 0;
    for (const opened of batch) {
      const { length } = opened.header.bytes;
      if (bytes > 0 && bytes + length > MOST_SCANNED_BYTES) {
        yield group;
        group = [];
        bytes = 0;
      }
      try {
        group.push({ opened, header: this.#scan(opened) });
        bytes += length;
      } catch (error) {
        // What is wrong with those before comes first.
        yield group;
        throw error;
      }
    }
    yield group;
  }

  #scan({ header, path }: OpenedShard): ScannedHeader {
    const { duplicates, maxHeaderBytes } = this.#options;
    const { bytes } = header;
    this.#headerBytes += bytes.length;
    if (this.#headerBytes > MOST_HEADERS * maxHeaderBytes) {
      const message = `the headers up to this shard have more than ${MOST_HEADERS} times maxHeaderBytes`;
      throw new SafetensorsError('HEADER_TOO_LARGE', message, { path });
    }
    return new ScannedHeader(bytes, this.#columnsFor(bytes), header, duplicates === 'reject');
  }

  #columnsFor(header: Buffer): Columns {
    const free = this.#freeColumns.pop();
    if (!free?.fits(header.length)) return new Columns(header.length);
    free.clear();
    return free;
  }

  /** The shards that are open, which are whoever's has them; none where they are mapped. */
  get files(): readonly ReadFile[] {
    return this.#files.sort((a, b) => a.start - b.start);
  }

  /** Waits for what has been started; nothing uses the range any more, and nothing is open. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.#pending);
    for (const { handle } of this.#files) native().close(handle);
  }

  /** Opens the shards from `first` up to `end`; lets go of all when one fails. */
  async #open(first: number, end: number): Promise<OpenedShard[]> {
    const shards = this.#shards.slice(first, end);
    const prefixes = shards.map(
      () => this.#freePrefixes.pop() ?? Buffer.allocUnsafeSlow(this.#prefixBytes),
    );
    const opened = await native().openInto(
      this.#range,
      shards.map(({ fullPath, base, byteLength }, i) => {
        return {
          path: fullPath,
          offset: base,
          byteLength,
          prefix: prefixes[i],
          textStart: LENGTH_BYTES,
        };
      }),
      this.#map,
    );
    const read = await Promise.allSettled(
      shards.map((shard, i) => this.#readHeader(shard, opened[i], prefixes[i])),
    );
    return read.map((outcome) => {
      if (outcome.status === 'rejected') throw outcome.reason;
      return outcome.value;
    });
  }

  async #readHeader(
    { path, fullPath, base, byteLength }: PlannedShard,
    opened: OpenedFile | NativeFailure,
    prefix: Buffer,
  ): Promise<OpenedShard> {
    const opening = new Opening(path, this.#options, fullPath);
    try {
      if (opened instanceof Error) throw opened;
      opening.begin(opened, prefix, { expectedSize: byteLength, keepsPrefix: true });
      await opening.readRest();
      const { identity, header } = opening;
      if (this.#map) opening.close();
      else this.#files.push({ handle: opening.handle, start: base, path });
      return { path, fullPath, identity, header, prefix };
    } catch (error) {
      throw shardError(opening.fail(error), path);
    }
  }
}

function match(scanned: ScannedHeader, place: MatchedShard, matcher: Matcher): ShardHeader {
  const { bytes, columns } = scanned;
  const { offsetOrder, metadata } = scanned.check(() => matcher.match(bytes, columns, place));
  matcher.finish(place.shard, columns.count, offsetOrder);
  return { metadata: keptMetadata(bytes, metadata), dataStart: place.dataStart };
}
