/** The thread is kept from others for so long, and by what a backend itself does at once. */
const MOST_MS = 10;

/** Lets the event loop come round where a thread has work for long. */
export class Turns {
  #since = performance.now();

  /** @throws the reason of the signal */
  async give(signal: AbortSignal | undefined): Promise<void> {
    if (performance.now() - this.#since > MOST_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#since = performance.now();
    }
    signal?.throwIfAborted();
  }
}
