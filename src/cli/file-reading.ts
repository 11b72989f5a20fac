import { type FileHandle, open } from 'node:fs/promises';
import { SafetensorsError } from '../index.ts';

/**
 * Bytes that are read at once: a multiple of every element's length, of three bytes (four elements of
 * 6 bits) and of a page.
 */
export const PIECE_BYTES = 3 * 2 ** 20;

/** Shards that are kept open at once. */
const MOST_OPEN = 16;

/** Bytes of a file. */
export interface FileRange {
  readonly path: string;
  /** First and last + 1, in bytes from the start of the file. */
  readonly begin: number;
  readonly end: number;
}

/**
 * Reads pieces of files, in memory that does not grow with them. Small pieces that follow each other
 * in a file are read together.
 */
export class FileReader implements AsyncDisposable {
  readonly #files = new Map<string, FileHandle>();
  readonly #buffer = Buffer.allocUnsafeSlow(PIECE_BYTES);
  /** Which bytes are in the buffer, and of which file. */
  #held: FileRange = { path: '', begin: 0, end: 0 };

  /**
   * Bytes of a file, {@link PIECE_BYTES} at most; they last until the next ones are asked for.
   * @throws {SafetensorsError} FILE_CHANGED when the file ends before
   * @throws {Error} of Node's own shape
   */
  async read({ path, begin, end }: FileRange): Promise<Buffer> {
    const held = this.#held;
    const follows = path === held.path && begin >= held.begin && begin <= held.end;
    if (!follows || end > held.end) {
      this.#held = { path: '', begin: 0, end: 0 };
      const wanted = follows ? PIECE_BYTES : end - begin;
      const target = this.#buffer.subarray(0, wanted);
      const read = await readUpTo(await this.#open(path), path, begin, target);
      if (read < end - begin) throw cutShort(path);
      this.#held = { path, begin, end: begin + read };
    }
    const start = begin - this.#held.begin;
    return this.#buffer.subarray(start, start + end - begin);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.values()) await file.close();
    this.#files.clear();
  }

  async #open(path: string): Promise<FileHandle> {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    for (const [oldest, file] of this.#files) {
      if (this.#files.size < MOST_OPEN) break;
      this.#files.delete(oldest);
      await file.close();
    }
    const file = await open(path);
    this.#files.set(path, file);
    return file;
  }
}

/**
 * Bytes of a file from front to back: while one piece is used, the next is read. A piece lasts until
 * the next one is asked for.
 *
 * @throws as {@link FileReader.read} does
 */
export async function* piecesOf({ path, begin, end }: FileRange): AsyncGenerator<Buffer> {
  const file = await open(path);
  const buffers = [0, 1].map(() => Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, end - begin)));
  const readPiece = async (piece: number): Promise<Buffer> => {
    const position = begin + piece * PIECE_BYTES;
    const length = Math.max(0, Math.min(PIECE_BYTES, end - position));
    const target = buffers[piece % 2].subarray(0, length);
    if ((await readUpTo(file, path, position, target)) < length) throw cutShort(path);
    return target;
  };
  const read = (piece: number): Promise<Buffer> => {
    const reading = readPiece(piece);
    // Whoever comes for the piece has its error; until then it is nobody's.
    reading.catch(() => {});
    return reading;
  };
  let next = read(0);
  try {
    for (let piece = 1; ; piece++) {
      const current = await next;
      if (current.length === 0) return;
      next = read(piece);
      yield current;
    }
  } finally {
    await next.catch(() => {});
    await file.close();
  }
}

/** Reads until `target` is full or the file ends. @returns The number of bytes. */
export async function readUpTo(
  file: FileHandle,
  path: string,
  position: number,
  target: Buffer,
): Promise<number> {
  let filled = 0;
  try {
    while (filled < target.length) {
      const { bytesRead } = await file.read(
        target,
        filled,
        target.length - filled,
        position + filled,
      );
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
  } catch (error) {
    throw error instanceof Error ? Object.assign(error, { path }) : error;
  }
  return filled;
}

function cutShort(path: string): SafetensorsError {
  return new SafetensorsError('FILE_CHANGED', 'the file became shorter while it was read', {
    path,
  });
}
