import { availableParallelism } from 'node:os';
import type { Storage } from '../storage.ts';

export interface DecodeOptions {
  /** Ends the work: the promise is rejected with its reason within milliseconds. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Elements of one call of the addon: 4 MiB of results, a fraction of a millisecond from memory, and
 * not much longer than a signal may have to wait when the source comes from a slow disk.
 */
export const PIECE_ELEMENTS = 2 ** 20;

/** Calls under way at once: a thread each, and one that waits for the event loop to hand out the next. */
const LANES = Math.min(availableParallelism() + 1, 4);

interface LaneOptions extends DecodeOptions {
  /** Kept where they are until the last call has returned. */
  readonly held: readonly (Storage | undefined)[];
}

/**
 * Makes a call for each piece, several at once, on libuv's threads. Resolves, or rejects with the
 * first failure or the signal's reason, when no call is under way any more: the memory is the
 * caller's again.
 */
export async function runLanes<Piece>(
  pieces: Iterator<Piece, void, undefined>,
  work: (piece: Piece) => Promise<void>,
  { signal, held }: LaneOptions,
): Promise<void> {
  signal?.throwIfAborted();
  const holds: (Disposable | undefined)[] = [];
  let failed = false;
  const lane = async () => {
    try {
      while (!failed && !signal?.aborted) {
        const { done, value: piece } = pieces.next();
        if (done) return;
        await work(piece);
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  try {
    for (const storage of held) holds.push(storage?.hold());
    const outcomes = await Promise.allSettled(Array.from({ length: LANES }, lane));
    signal?.throwIfAborted();
    const failure = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failure) throw failure.reason;
  } finally {
    for (const hold of holds) hold?.[Symbol.dispose]();
  }
}
