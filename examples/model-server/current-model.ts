/** What can be put out of use. */
export interface Closable {
  close(): Promise<void>;
}

/** A model, and how many requests are using it. */
class Held<M extends Closable> {
  readonly model: M;
  #users = 0;
  #retired = false;
  #closed: (closing: Promise<void>) => void = () => {};
  readonly closed = new Promise<void>((resolve) => {
    this.#closed = resolve;
  });

  constructor(model: M) {
    this.model = model;
  }

  take(): void {
    this.#users++;
  }

  giveBack(): void {
    this.#users--;
    this.#closeIfUnused();
  }

  retire(): void {
    this.#retired = true;
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    if (this.#retired && this.#users === 0) this.#closed(this.model.close());
  }
}

/**
 * The model that requests are given. Replacing it takes no time: requests that have begun end with the
 * model that they began with, and the last of them closes it.
 */
export class CurrentModel<M extends Closable> {
  #held: Held<M> | undefined;

  get model(): M | undefined {
    return this.#held?.model;
  }

  /** Keeps the model open until the work is done. */
  async use<R>(work: (model: M) => Promise<R>): Promise<R> {
    const held = this.#held;
    if (held === undefined) throw new Error('there is no model yet');
    held.take();
    try {
      return await work(held.model);
    } finally {
      held.giveBack();
    }
  }

  /** @returns Resolves when the earlier model is closed. */
  async replace(model: M | undefined): Promise<void> {
    const earlier = this.#held;
    this.#held = model && new Held(model);
    earlier?.retire();
    await earlier?.closed;
  }
}
