/**
 * The end of something that others wait for pieces of. Not an AbortSignal, which warns when more than
 * ten wait; not a promise to race against, which keeps what every one that ever waited for it left.
 */
export class Ending {
  readonly #waiting = new Set<(reason: unknown) => void>();
  #reason: { is: unknown } | undefined;

  /** Rejects everything that waits, now or later, with a reason; the first one counts. */
  end(reason: unknown): void {
    this.#reason ??= { is: reason };
    for (const reject of this.#waiting) reject(this.#reason.is);
    this.#waiting.clear();
  }

  /** What `work` comes to, or the reason of the end if that comes first. */
  orEnds<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject);
      work.then(resolve, reject).finally(() => this.#waiting.delete(reject));
      if (this.#reason) reject(this.#reason.is);
    });
  }
}
