const FIRST_BYTES = 2 ** 16;

/** Words are read of what is compared. */
const PADDING = 3;

/**
 * The text of shapes, each from behind its opening bracket to the closing one, so that the headers
 * that they come from need not be kept. The addon puts them here (`takeUp`).
 */
export class ShapeText {
  #bytes = new Uint8Array(FIRST_BYTES);
  /**
   * What the addon knows of them from one header to the next: start and length of the shape that was added
   * last, the same of the one before, and how many bytes are taken.
   */
  readonly kept = new Int32Array(5);

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Makes room for all shapes of a header of so many bytes. */
  reserve(headerBytes: number): void {
    const taken = this.kept[4];
    const wanted = taken + headerBytes + PADDING;
    if (wanted <= this.#bytes.length) return;
    // Pages that are never written cost nothing.
    const grown = new Uint8Array(2 * wanted);
    grown.set(this.#bytes.subarray(0, taken));
    this.#bytes = grown;
  }
}
