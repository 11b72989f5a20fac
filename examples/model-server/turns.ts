import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Work that blocks this thread, a piece at a time, in the order in which the pieces were asked for: between two of
 * them the event loop comes round, and answers whatever does not need to wait for such work.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** @throws the reason of `signal`, when it is aborted before its turn */
  async take<R>(work: () => Promise<R>, signal?: AbortSignal): Promise<R> {
    const turn = this.#last.then(async () => {
      await nextTurn();
      signal?.throwIfAborted();
      return work();
    });
    this.#last = turn.catch(() => {});
    return turn;
  }
}
