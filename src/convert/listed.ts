/** Things of a kind that a result lists: a checkpoint may have one of them in millions of places. */
const MOST_LISTED = 1000;

/** The first of many things, and how many more there are. */
export class Listed<T> {
  readonly items: T[] = [];
  #count = 0;

  /** @param make Called for what is listed only: descriptions take time and memory. */
  add(make: () => T): void {
    this.#count++;
    if (this.items.length < MOST_LISTED) this.items.push(make());
  }

  /** How many are not among {@link items}. */
  get omitted(): number {
    return this.#count - this.items.length;
  }
}
