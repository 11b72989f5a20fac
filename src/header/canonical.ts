import type { Columns } from './columns.ts';
import { loadedScanner, ScannedText, type Scanner } from './scanner.ts';

/**
 * Reads the entries that look exactly as the reference writes them: compact JSON, `dtype`, `shape` and
 * `data_offsets` in this order, a name without escapes, and the size that they say. Everything else, right
 * or wrong, it leaves to the full grammar, and so it has no errors of its own. Without a scanner
 * ({@link loadedScanner}) that is all.
 */
export class CanonicalEntries {
  readonly #scanner: Scanner | undefined;
  readonly #text: ScannedText | undefined;
  readonly #columns: Columns;

  constructor(bytes: Buffer, columns: Columns) {
    this.#columns = columns;
    this.#scanner = loadedScanner();
    this.#text = this.#scanner && new ScannedText(this.#scanner, bytes);
  }

  /**
   * Reads entries from `start`, where a name's opening quote may be; returns where the first item stands
   * that was not read, or where the brace does that closes the header, if the last was.
   */
  read(start: number): number {
    const scanner = this.#scanner;
    if (scanner === undefined || this.#text === undefined) return start;
    const { exports } = scanner;
    return this.#text.read(start, {
      begin: exports.forgetDescriptions,
      read: exports.readEntries,
      take: () => this.#columns.addAll(scanner),
    });
  }
}
