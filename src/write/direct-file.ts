import type { FileHandle } from 'node:fs/promises';
import { type NativeFailure, native } from '../native.ts';
import type { DirectOutput } from '../native-output.ts';
import { LOST_PAGES } from '../paging/paging-error.ts';

/** What places and lengths are multiples of: the block of every usual disk. */
export const BLOCK_BYTES = 4096;

/** Memory that could not be read, byte `at` of what was to be written. */
export class UnreadableMemory extends Error {
  readonly at: number;

  constructor(at: number, cause: unknown) {
    super('memory that cannot be read', { cause });
    this.at = at;
  }
}

/**
 * A file written past the page cache, whole blocks at a time: the disk gets it at its own speed (with
 * the page cache between, half of that), and what others have in memory stays there.
 */
export class DirectFile {
  #output: DirectOutput | undefined;

  private constructor(output: DirectOutput) {
    this.#output = output;
  }

  /** The file of a path, which `handle` is open for; `undefined` where the system does not do that. */
  static open(path: string, handle: FileHandle): DirectFile | undefined {
    const output = native().openDirect(path, handle.fd);
    return output && new DirectFile(output);
  }

  /**
   * Writes views, one behind the other, on another thread; `position` and their bytes in all are multiples
   * of {@link BLOCK_BYTES}. False when they must be written as usual, since this does not work here: some
   * file systems say so only now.
   *
   * @throws {UnreadableMemory}
   * @throws {NativeFailure} what the disk refuses
   */
  async write(views: readonly Uint8Array[], position: number): Promise<boolean> {
    if (this.#output === undefined) return false;
    try {
      if (await native().writeDirect(this.#output, position, views)) return true;
    } catch (error) {
      const { errno, offset } = error as NativeFailure;
      if (errno === LOST_PAGES && offset !== undefined) throw new UnreadableMemory(offset, error);
      throw error;
    }
    this.close();
    return false;
  }

  /** What is being written goes on to its end. */
  close(): void {
    if (this.#output !== undefined) native().closeDirect(this.#output);
    this.#output = undefined;
  }
}
