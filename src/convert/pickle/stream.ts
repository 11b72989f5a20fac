import { pickleError } from '../fault.ts';
import type { ByteReader } from '../mapped-checkpoint.ts';
import { MOST_PICKLE_BYTES, MOST_SUSPICIONS, MOST_WORK } from './limits.ts';
import { PickleFault, PickleReader } from './reader.ts';
import { runPickle } from './run.ts';
import { Trace } from './trace.ts';
import type { Persistents, PyStorage, Value } from './values.ts';

/** Read at first: most pickles end within. Then eight times as much, and so on. */
const FIRST_BYTES = 2 ** 20;
const GROWTH = 8;

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

  constructor(file: ByteReader, begin = 0, end = file.size) {
    this.#file = file;
    this.at = begin;
    this.end = end;
  }

  /** @throws {SafetensorsError} MALFORMED_CHECKPOINT, CHECKPOINT_LIMIT; the reason of the signal of `trace` */
  async next(trace: Trace): Promise<Value> {
    for (let length = FIRST_BYTES; ; length *= GROWTH) {
      const end = Math.min(this.at + length, this.at + MOST_PICKLE_BYTES, this.end);
      trace.signal?.throwIfAborted();
      const work = Math.min(this.#work, trace.work);
      const reader = new PickleReader(await this.#file.read(this.at, end), work);
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
          if (length < MOST_PICKLE_BYTES) continue;
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

  #add(attempt: Trace, trace: Trace): void {
    trace.add(attempt);
    if (!trace.overflows) return;
    const message = `over ${MOST_SUSPICIONS} names and calls that are not on the list`;
    throw pickleError(new PickleFault('limit', message, this.at), this.#file.path);
  }
}
