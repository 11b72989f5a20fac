import { pickleError } from '../fault.ts';
import type { ByteReader } from '../mapped-checkpoint.ts';
import { MOST_PICKLE_BYTES, MOST_SUSPICIONS, MOST_WORK, PICKLE_WORK } from './limits.ts';
import { PickleFault, PickleReader } from './reader.ts';
import { runPickle } from './run.ts';
import { Trace } from './trace.ts';
import type { Persistents, PyStorage, Value } from './values.ts';

/** Read at first: most pickles end within. Then eight times as much, and so on. */
const FIRST_BYTES = 2 ** 20;
const GROWTH = 8;

const NOTHING = Buffer.alloc(0);

/** Pickles that lie one behind the other in a file, as their lengths are not written anywhere. */
export class PickleStream {
  readonly #file: ByteReader;
  /** Where they end at the latest. */
  readonly end: number;
  /** Where the next pickle, or whatever comes then, begins. */
  at: number;

  /** What persistent ids stand for that are keys, as in tar files. */
  persistents: Persistents | undefined;

  /** Storages that the last pickle has named, by key. */
  storages: ReadonlyMap<string, PyStorage> = new Map();

  /** What all of them may cost. */
  #work = MOST_WORK;

  /** What was read last, and where it begins: small pickles, and numbers between them, are many in it. */
  #kept: { readonly begin: number; readonly bytes: Buffer } = { begin: 0, bytes: NOTHING };

  constructor(file: ByteReader, begin = 0, end = file.size) {
    this.#file = file;
    this.at = begin;
    this.end = end;
  }

  /** @throws {SafetensorsError} MALFORMED_CHECKPOINT, CHECKPOINT_LIMIT; the reason of the signal of `trace` */
  async next(trace: Trace): Promise<Value> {
    const length = this.#keptFrom(this.at).length;
    for (let most = length || FIRST_BYTES; ; most = Math.max(FIRST_BYTES, GROWTH * most)) {
      trace.signal?.throwIfAborted();
      const bytes = await this.#bytesOf(Math.min(most, MOST_PICKLE_BYTES));
      const end = this.at + bytes.length;
      const work = Math.min(this.#work, trace.work);
      const reader = new PickleReader(bytes, work - PICKLE_WORK);
      // What is seen of a pickle that is cut here is seen again.
      const attempt = new Trace();
      const { persistents } = this;
      try {
        const { value, storages } = await runPickle(reader, attempt, {
          persistents,
          signal: trace.signal,
        });
        this.storages = storages;
        this.at += reader.at;
        this.#work -= work - reader.work;
        this.#add(attempt, trace);
        return value;
      } catch (error) {
        if (error instanceof PickleFault && error.kind === 'cut' && end < this.end) {
          if (most < MOST_PICKLE_BYTES) continue;
          trace.add(attempt);
          const limit = new PickleFault('limit', `over ${MOST_PICKLE_BYTES} bytes`, error.at);
          throw pickleError(limit, this.#file.path);
        }
        this.#work -= work - reader.work;
        if (!(error instanceof PickleFault)) throw error;
        this.#add(attempt, trace);
        throw pickleError(reader.deferred ?? error, this.#file.path);
      } finally {
        trace.work -= work - reader.work;
      }
    }
  }

  /** The next so many bytes, which are no pickle. There have to be so many. */
  async take(length: number): Promise<Buffer> {
    if (this.#keptFrom(this.at).length < length) await this.#bytesOf(Math.max(length, FIRST_BYTES));
    const bytes = this.#keptFrom(this.at).subarray(0, length);
    this.at += length;
    return bytes;
  }

  /** So many bytes from here on, or all that there are. */
  async #bytesOf(length: number): Promise<Buffer> {
    const end = Math.min(this.at + length, this.end);
    const kept = this.#keptFrom(this.at);
    if (this.at + kept.length >= end) return kept.subarray(0, end - this.at);
    this.#kept = { begin: this.at, bytes: await this.#file.read(this.at, end) };
    return this.#kept.bytes;
  }

  #keptFrom(at: number): Buffer {
    const { begin, bytes } = this.#kept;
    return at < begin ? NOTHING : bytes.subarray(at - begin);
  }

  #add(attempt: Trace, trace: Trace): void {
    trace.add(attempt);
    if (!trace.overflows) return;
    const message = `over ${MOST_SUSPICIONS} names and calls that are not on the list`;
    throw pickleError(new PickleFault('limit', message, this.at), this.#file.path);
  }
}
