import type { CheckedOptions } from '../container.ts';
import { SafetensorsError } from '../errors.ts';
import { HEADER_PADDING, LENGTH_BYTES } from '../header/bytes.ts';
import { Columns } from '../header/columns.ts';
import { checkHeader } from '../header/parse.ts';
import { PREAMBLE_BYTES } from '../header/preamble.ts';
import { type FileHandle, native } from '../native.ts';
import { Opening, type RawHeader } from '../opening.ts';
import type { Matcher } from './matcher.ts';
import type { WatchedFile } from './model.ts';
import type { ShardHeader } from './model-table.ts';
import { type PlannedShard, shardError } from './range.ts';

/**
 * Shards that are opened ahead of the one whose header is being checked: enough to keep all threads of
 * libuv's pool busy, and a bound on descriptors and on memory.
 */
const AHEAD = 16;

/** Beginnings of shards are read in multiples of a page, as the memory for them is given out. */
const PREFIX_STEP = 4096;
/** Most that is read at once of a shard before its header's length is known. */
const MOST_PREFIX_BYTES = 2 ** 20;

/** The headers of a model have at most so many times the bytes that one may have. */
const MOST_HEADERS = 10;

/** What reading has come to when it is done. */
export interface ReadShards {
  readonly headers: ShardHeader[];
  readonly shards: WatchedFile[];
}

interface OpenedShard extends WatchedFile {
  readonly header: RawHeader;
}

/**
 * Opens the shards of a model on other threads, maps them into its range, and checks their headers in
 * turn. A shard's descriptor is closed when its header has been read.
 */
export class ShardReader {
  readonly #range: FileHandle;
  readonly #shards: readonly PlannedShard[];
  /** About how many bytes each header has. */
  readonly #expected: Float64Array;
  readonly #options: CheckedOptions;
  /** Shards that have been started and not been taken, in their order. */
  readonly #pending: Promise<OpenedShard>[] = [];
  #started = 0;
  #columns = new Columns(0);

  constructor(
    range: FileHandle,
    shards: readonly PlannedShard[],
    expected: Float64Array,
    options: CheckedOptions,
  ) {
    this.#range = range;
    this.#shards = shards;
    this.#expected = expected;
    this.#options = options;
  }

  /** Starts as many shards as may be open ahead. */
  start(): void {
    while (this.#pending.length < AHEAD && this.#started < this.#shards.length) {
      const opening = this.#open(this.#started++);
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
    let headerBytes = 0;
    for (;;) {
      this.start();
      const opened = await this.#pending.shift();
      if (opened === undefined) return read;
      headerBytes += opened.header.bytes.length;
      if (headerBytes > MOST_HEADERS * this.#options.maxHeaderBytes) {
        const message = `the headers up to this shard have more than ${MOST_HEADERS} times maxHeaderBytes`;
        throw new SafetensorsError('HEADER_TOO_LARGE', message, { path: opened.path });
      }
      read.headers.push(this.#check(opened.header, read.headers.length, matcher));
      const { path, fullPath, identity } = opened;
      read.shards.push({ path, fullPath, identity });
    }
  }

  /** Waits for what has been started; nothing uses the range any more. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  async #open(shard: number): Promise<OpenedShard> {
    const { path, fullPath, base, byteLength } = this.#shards[shard];
    const opening = new Opening(path, this.#options, fullPath);
    const expected = LENGTH_BYTES + this.#expected[shard] + HEADER_PADDING;
    const wanted = Math.min(Math.max(expected, PREAMBLE_BYTES), MOST_PREFIX_BYTES);
    const prefix = Buffer.allocUnsafeSlow(Math.ceil(wanted / PREFIX_STEP) * PREFIX_STEP);
    try {
      const opened = native().openInto(this.#range, fullPath, base, byteLength, prefix);
      await opening.read(opened, prefix, { expectedSize: byteLength, keepsPrefix: true });
      const { identity, header } = opening;
      opening.close();
      return { path, fullPath, identity, header };
    } catch (error) {
      throw shardError(opening.fail(error), path);
    }
  }

  #check(header: RawHeader, shard: number, matcher: Matcher): ShardHeader {
    const { bytes, path, dataLength } = header;
    const dataStart = this.#shards[shard].base + header.dataStart;
    if (this.#columns.fits(bytes.length)) this.#columns.clear();
    else this.#columns = new Columns(bytes.length);
    const { offsetOrder, metadata } = checkHeader(
      bytes,
      this.#columns,
      { dataLength, path },
      this.#options.duplicates === 'reject',
      (_, columns) => matcher.match(bytes, columns, { shard, dataStart }),
    );
    matcher.finish(shard, this.#columns.count, offsetOrder);
    return { bytes, metadata, dataStart };
  }
}
