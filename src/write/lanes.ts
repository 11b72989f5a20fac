import { availableParallelism } from 'node:os';
import type { Chunk } from './chunks.ts';
import { type ChunkTarget, writeChunk } from './write-chunk.ts';

/**
 * Writes under way at once. The page cache of one file takes one at a time, whoever brings them: the second
 * is there when the first is done, and meanwhile spins on a core (Linux waits so for the lock of an inode), which
 * of two is the one that the event loop needs. A disk takes many. So many that one of libuv's four threads is
 * left to others.
 */
const LANES = { cached: availableParallelism() > 2 ? 2 : 1, direct: 3 };

export interface LaneOptions {
  /** Called with the bytes of each chunk that has been written. */
  onWritten: (bytes: number) => void;
  /** Looked at before each chunk; what is being written then goes on to its end. */
  stopped: () => boolean;
}

/** Writes to one file from several threads at once. */
export class Lanes {
  readonly #target: ChunkTarget;
  readonly #options: LaneOptions;
  readonly #lanes: number;
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(target: ChunkTarget, options: LaneOptions) {
    this.#target = target;
    this.#lanes = target.direct === undefined ? LANES.cached : LANES.direct;
    this.#free = this.#lanes;
    this.#options = options;
  }

  /**
   * Writes chunks, in no particular order. Resolves, or rejects with the first failure, when none of
   * them is being written any more: their memory is the caller's again. Stopped, it resolves early.
   */
  async write(chunks: Iterator<Chunk, void, undefined>): Promise<void> {
    const { stopped, onWritten } = this.#options;
    let failed = false;
    const lane = async () => {
      try {
        while (!failed && !stopped()) {
          const { done, value: chunk } = chunks.next();
          if (done) return;
          await this.#inTurn(() => writeChunk(this.#target, chunk));
          if (!failed && !stopped()) onWritten(chunk.byteLength);
        }
      } catch (error) {
        failed = true;
        throw error;
      }
    };
    const outcomes = await Promise.allSettled(Array.from({ length: this.#lanes }, lane));
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure) throw failure.reason;
  }

  /** Runs `write` when fewer than {@link LANES} allow are running. */
  async #inTurn(write: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      // Its turn may come long after it was asked for.
      if (!this.#options.stopped()) await write();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
