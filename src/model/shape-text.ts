import { CLOSE_BRACKET } from '../header/json.ts';
import { sameName } from '../header/words.ts';

const FIRST_BYTES = 2 ** 16;

/** Words are read of what is compared. */
const PADDING = 3;

/**
 * The text of shapes, each from behind its opening bracket to the closing one, so that the headers
 * that they come from need not be kept. One that repeats one of the last two is not kept twice: weights and
 * their scales alternate.
 */
export class ShapeText {
  #bytes = new Uint8Array(FIRST_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  /** The shape that was added last, and the one before. */
  #start = 0;
  #startLength = 0;
  #before = 0;
  #beforeLength = 0;

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Keeps the shape that begins at `start`, with three bytes behind it; returns where its text is. */
  add(header: DataView, start: number): number {
    if (this.#is(this.#start, this.#startLength, header, start)) return this.#start;
    const found = this.#is(this.#before, this.#beforeLength, header, start);
    const kept = found ? this.#before : this.#length;
    const length = found ? this.#beforeLength : this.#append(header, start);
    this.#before = this.#start;
    this.#beforeLength = this.#startLength;
    this.#start = kept;
    this.#startLength = length;
    return kept;
  }

  /** Whether the kept shape, which has one bracket at its end, is the one at `start`. */
  #is(kept: number, length: number, header: DataView, start: number): boolean {
    if (length === 0 || start + length + PADDING > header.byteLength) return false;
    return sameName(this.#view, kept, header, start, length);
  }

  /** Puts down a shape behind the others; returns how long it is. */
  #append(header: DataView, start: number): number {
    let end = start;
    while (header.getUint8(end) !== CLOSE_BRACKET) end++;
    const length = end + 1 - start;
    if (this.#length + length + PADDING > this.#bytes.length) {
      const grown = new Uint8Array(2 * (this.#length + length + PADDING));
      grown.set(this.#bytes);
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    for (let i = 0; i < length; i++) this.#bytes[this.#length + i] = header.getUint8(start + i);
    this.#length += length;
    return length;
  }
}
