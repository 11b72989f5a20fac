import { CLOSE_BRACKET } from '../header/json.ts';

const FIRST_BYTES = 2 ** 16;

/** Shapes that a new one is compared with: weights and their scales alternate. */
const REMEMBERED = 2;

/**
 * The text of shapes, each from behind its opening bracket to the closing one, so that the headers
 * that they come from need not be kept. One that repeats one of the last is not kept twice.
 */
export class ShapeText {
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;
  /** Where the shapes begin that were added last. */
  readonly #last = new Int32Array(REMEMBERED).fill(-1);
  #oldest = 0;

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Keeps the shape that begins at `start`; returns where its text is. */
  add(header: Uint8Array, start: number): number {
    const last = this.#last;
    for (let i = 0; i < REMEMBERED; i++) {
      if (last[i] >= 0 && this.#isShape(last[i], header, start)) return last[i];
    }
    const kept = this.#append(header, start);
    last[this.#oldest] = kept;
    this.#oldest = (this.#oldest + 1) % REMEMBERED;
    return kept;
  }

  #isShape(kept: number, header: Uint8Array, start: number): boolean {
    const bytes = this.#bytes;
    for (let i = 0; ; i++) {
      const byte = bytes[kept + i];
      if (byte !== header[start + i]) return false;
      if (byte === CLOSE_BRACKET) return true;
    }
  }

  #append(header: Uint8Array, start: number): number {
    const length = header.indexOf(CLOSE_BRACKET, start) + 1 - start;
    const kept = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(2 * this.#length);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    for (let i = 0; i < length; i++) this.#bytes[kept + i] = header[start + i];
    return kept;
  }
}
