/** Bytes of the length before the header: positions in messages count from the file's start. */
export const LENGTH_BYTES = 8;

/** NULs behind a header: one that ends every loop, and room for the words that are read beyond it. */
export const HEADER_PADDING = 48;

/** Memory for a header of so many bytes, which are the caller's to fill, with its padding. */
export function allocateHeader(length: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length + HEADER_PADDING);
  bytes.fill(0, length);
  return bytes;
}

/**
 * Blanks behind a header are looked for in pieces of this many bytes, and only in headers that are
 * longer than any published one: their memory is then not needed.
 */
export const BLANK_PIECE_BYTES = 2 ** 20;
const LONG_HEADER_BYTES = 32 * BLANK_PIECE_BYTES;

let blanks: Buffer | undefined;

/** Whether a piece of a header is nothing but the spaces that writers pad with. */
export function isBlank(piece: Uint8Array): boolean {
  blanks ??= Buffer.alloc(BLANK_PIECE_BYTES, ' ');
  return piece.length === BLANK_PIECE_BYTES && blanks.equals(piece);
}

/** Where a header ends in its file, pieces of blanks left out that are looked at from behind. */
export class HeaderEnd {
  #value: number;
  #seeksBlanks: boolean;

  constructor(length: number) {
    this.#value = LENGTH_BYTES + length;
    this.#seeksBlanks = length > LONG_HEADER_BYTES;
  }

  get value(): number {
    return this.#value;
  }

  /** Where the piece begins that is to be looked at next; undefined when none is. */
  get nextPiece(): number | undefined {
    return this.#seeksBlanks ? this.#value - BLANK_PIECE_BYTES : undefined;
  }

  /** Looks at that piece. */
  look(piece: Uint8Array): void {
    this.#seeksBlanks = isBlank(piece);
    if (!this.#seeksBlanks) return;
    this.#value -= BLANK_PIECE_BYTES;
    this.#seeksBlanks = this.#value - LENGTH_BYTES > BLANK_PIECE_BYTES;
  }
}
