import { SafetensorsError } from '../errors.ts';

const FIRST_BYTES = 2 ** 16;
/** Places are 32-bit integers. */
const MOST_BYTES = 2 ** 31 - 1;

/**
 * The text of shapes, each from behind its opening bracket to the closing one, so that the headers
 * that they come from need not be kept. The addon puts them here (`takeUp`).
 */
export class ShapeText {
  readonly #path: string;
  #bytes = new Uint8Array(FIRST_BYTES);
  /**
   * What the addon knows of them from one header to the next: start and length of the shape that was added
   * last, the same of the one before, and how many bytes are taken.
   */
  readonly kept = new Int32Array(5);

  /** @param path that of the model, for messages */
  constructor(path: string) {
    this.#path = path;
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /**
   * Makes room for all shapes of a header of so many bytes.
   * @throws {SafetensorsError} HEADER_TOO_LARGE
   */
  reserve(headerBytes: number): void {
    const wanted = this.kept[4] + headerBytes;
    if (wanted <= this.#bytes.length) return;
    if (wanted > MOST_BYTES) {
      const message = `the shapes of all shards have more than ${MOST_BYTES} bytes`;
      throw new SafetensorsError('HEADER_TOO_LARGE', message, { path: this.#path });
    }
    const grown = new Uint8Array(Math.min(2 * wanted, MOST_BYTES));
    grown.set(this.#taken());
    this.#bytes = grown;
  }

  /** All of them, in no more memory than they take. */
  finish(): Uint8Array {
    return this.#taken().slice();
  }

  #taken(): Uint8Array {
    return this.#bytes.subarray(0, this.kept[4]);
  }
}
