import { availableParallelism } from 'node:os';
import { holdMemory } from '../storage/emptied-buffers.ts';
import { isResizable } from './memory.ts';

export interface DecodeOptions {
  /** Ends the work: the promise is rejected with its reason within milliseconds. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Elements of one call of the addon: 4 MiB of results, a fraction of a millisecond from memory, and
 * not much longer than a signal may have to wait when the source comes from a slow disk.
 */
export const PIECE_ELEMENTS = 2 ** 20;

/**
 * Calls under way at once: a thread each, and one that waits for the event loop to hand out the next. Of
 * the four threads that libuv has, unless it is told otherwise, one stays for files and names of hosts.
 */
const LANES = Math.min(availableParallelism() + 1, 3);

/**
 * Makes a call for each piece, several at once, on libuv's threads. Resolves, or rejects with the
 * first failure or the signal's reason, when no call is under way any more: the memory is the
 * caller's again. That of containers stays until then, although they may be closed.
 */
export async function runLanes<Call extends readonly unknown[]>(
  calls: Iterator<Call, void, undefined>,
  work: (call: Call) => Promise<void>,
  { signal }: DecodeOptions,
): Promise<void> {
  signal?.throwIfAborted();
  let failed = false;
  const lane = async () => {
    try {
      while (!failed && !signal?.aborted) {
        const { done, value: call } = calls.next();
        if (done) return;
        using _hold = holdMemory(call.filter(ArrayBuffer.isView));
        await work(withoutResizable(call));
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: LANES }, lane));
  signal?.throwIfAborted();
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure) throw failure.reason;
}

/** Sources that JavaScript could shrink while another thread reads from them are copied before. */
function withoutResizable<Call extends readonly unknown[]>(call: Call): Call {
  const isSafe = (value: unknown) => !ArrayBuffer.isView(value) || !isResizable(value);
  if (call.every(isSafe)) return call;
  return call.map((value) =>
    isSafe(value) ? value : new Uint8Array(value as Uint8Array),
  ) as readonly unknown[] as Call;
}
