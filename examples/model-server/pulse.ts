import type { Worker } from 'node:cluster';
import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from './ask.ts';

/** Between two questions to a worker; one that owes an answer for longer is unresponsive. */
const PAUSE_MS = 1000;

/**
 * Asks workers, again and again, whether they still answer. Nobody else would find one that hangs: it has no end, and
 * keeps its share of the connections.
 */
export class Pulse {
  readonly #seconds: number;
  /** Workers that owe an answer, and since when. */
  readonly #asked = new Map<Worker, number>();

  /** @param seconds A worker without an answer for so long is killed. */
  constructor(seconds: number) {
    this.#seconds = seconds;
  }

  /** Workers that hang, or compute for long: time tells. */
  get unresponsive(): number {
    const now = performance.now();
    return [...this.#asked.values()].filter((since) => now - since > PAUSE_MS).length;
  }

  /** Until the worker has ended, or the signal is aborted. */
  async follow(worker: Worker, signal: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(PAUSE_MS, undefined, { signal, ref: false }).catch(() => {});
      if (signal.aborted || worker.isDead()) return;
      this.#asked.set(worker, performance.now());
      // Its end is told by the worker itself.
      await ask(worker, { type: 'ping' }, this.#seconds).catch(() => {});
      this.#asked.delete(worker);
    }
  }
}
