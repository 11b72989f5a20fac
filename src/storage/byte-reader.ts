import { SafetensorsError, systemError } from '../errors.ts';
import { type FileHandle, type NativeFailure, native } from '../native.ts';
import { type DataPlace, pagingError } from '../paging/paging-error.ts';
import type { MappedFiles } from './mapped-files.ts';
import type { FilePlace } from './storage.ts';

/**
 * Bytes of one or many files, read into memory of JavaScript's own. Positions count from the start of the
 * file, or of the first of them. Nobody else may have a target meanwhile.
 */
export interface ByteReader {
  /** Closing it empties copies: see `Copies`. */
  readonly handle: FileHandle;
  /** Where they are mapped. */
  readonly mapping: MappedFiles | undefined;
  /**
   * Fills the target, all of it.
   * @throws {SafetensorsError} FILE_CHANGED when the file no longer has the bytes
   * @throws {Error} of Node's own shape
   */
  readSync(position: number, target: Uint8Array): void;
  /** {@link readSync} on another thread; what is being read is read to its end, whoever closes meanwhile. */
  read(position: number, target: Uint8Array): Promise<void>;
  /** The file that a position is in, and where. */
  fileAt(position: number): FilePlace;
  /**
   * Makes sure that no file has lost pages; only files that are mapped lose any.
   * @throws {SafetensorsError} FILE_CHANGED
   */
  check(): void;
  close(): void;
}

/** A file that is open for reading. */
export interface ReadFile {
  readonly handle: FileHandle;
  /** Where it begins, as positions count. */
  readonly start: number;
  readonly path: string;
}

/** ESTALE on Linux and macOS: the file is gone from its server. */
const GONE: readonly number[] = [-116, -70];

/** Reads files through their descriptors, of which it keeps one for each. */
export class FileReader implements ByteReader {
  readonly handle: FileHandle;
  readonly mapping = undefined;
  readonly #files: readonly ReadFile[];
  readonly #place: DataPlace;

  /** `files` by their places; no tensor is in two of them. `handle` may be that of one of them. */
  constructor(handle: FileHandle, files: readonly ReadFile[], place: DataPlace) {
    this.handle = handle;
    this.#files = files;
    this.#place = place;
  }

  readSync(position: number, target: Uint8Array): void {
    const file = this.#fileAt(position);
    try {
      const read = native().readSync(file.handle, position - file.start, target, true);
      this.#checkWhole(read, position, target, file);
    } catch (error) {
      throw this.#readingError(error, position, file);
    }
  }

  async read(position: number, target: Uint8Array): Promise<void> {
    const file = this.#fileAt(position);
    try {
      const read = await native().read(file.handle, position - file.start, target, true);
      this.#checkWhole(read, position, target, file);
    } catch (error) {
      throw this.#readingError(error, position, file);
    }
  }

  fileAt(position: number): FilePlace {
    const { path, start } = this.#fileAt(position);
    return { path, offset: position - start };
  }

  check(): void {}

  close(): void {
    native().close(this.handle);
    for (const { handle } of this.#files) if (handle !== this.handle) native().close(handle);
  }

  #fileAt(position: number): ReadFile {
    let low = 0;
    let high = this.#files.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#files[middle].start <= position) low = middle;
      else high = middle;
    }
    return this.#files[low];
  }

  #checkWhole(read: number, position: number, target: Uint8Array, file: ReadFile): void {
    if (read === target.length) return;
    const at = position - file.start + read;
    throw this.#changed(
      `the file became shorter since it was opened, at byte ${at}`,
      position,
      file,
    );
  }

  #readingError(error: unknown, position: number, file: ReadFile): unknown {
    const { errno, syscall } = error as NativeFailure;
    if (error instanceof SafetensorsError || errno === undefined) return error;
    const cause = systemError(errno, syscall, file.path);
    if (!GONE.includes(errno)) return cause;
    return this.#changed('the file was removed since it was opened', position, file, cause);
  }

  #changed(message: string, position: number, { path }: ReadFile, cause?: Error): SafetensorsError {
    const { table, dataStart } = this.#place;
    const entry = table.atPosition(position - dataStart);
    const tensor = entry < 0 ? undefined : table.name(entry);
    return new SafetensorsError('FILE_CHANGED', message, { path, tensor, cause });
  }
}

/** Copies from mapped files: for runtimes that let JavaScript see no memory but its own. */
export class MappingReader implements ByteReader {
  readonly handle: FileHandle;
  readonly mapping: MappedFiles;

  constructor(files: MappedFiles) {
    this.handle = files.handle;
    this.mapping = files;
  }

  readSync(position: number, target: Uint8Array): void {
    try {
      native().gather(this.handle, run(position, target), target, 0, target.length);
    } catch (error) {
      throw pagingError(this.mapping, error, position);
    }
    this.mapping.assertIntact(position, position + target.length);
  }

  async read(position: number, target: Uint8Array): Promise<void> {
    // Also when the handle is closed meanwhile.
    const hold = native().hold(this.handle);
    try {
      await native().gatherAsync(this.handle, run(position, target), target, 0, target.length);
      this.mapping.assertIntact(position, position + target.length, hold);
    } catch (error) {
      throw pagingError(this.mapping, error, position);
    } finally {
      native().release(hold);
    }
  }

  fileAt(position: number): FilePlace {
    return this.mapping.fileAt(position);
  }

  check(): void {
    this.mapping.check();
  }

  close(): void {
    native().close(this.handle);
  }
}

function run(position: number, { length }: Uint8Array): Float64Array {
  return Float64Array.of(position, length);
}
