import { SafetensorsError } from '../errors.ts';
import type { HeaderTable } from '../header/table.ts';
import type { Pages } from '../paging/pages.ts';
import type { Runs } from '../slice.ts';

/**
 * Where the bytes of a container are: in files that are mapped into memory, in files that are read when
 * a tensor is used, or in memory that the caller has given.
 */
export type Backend = 'mmap' | 'read' | 'memory';

/** A buffer, and where it begins: in the file, or in the memory that a container was given. */
export interface Window {
  readonly buffer: ArrayBufferLike;
  readonly start: number;
}

/** Keeps memory where it is until it is disposed of. */
export interface Hold extends Disposable {
  /** As {@link Storage.assertIntact}, whether the container is closed or not; for memory that can be lost. */
  assertIntact?(begin: number, end: number): void;
}

/** A place in one of the files that a container is over. */
export interface FilePlace {
  readonly path: string | undefined;
  readonly offset: number;
}

/** Where the bytes of a container's tensors are, and whether they still are. */
export abstract class Storage {
  readonly table: HeaderTable;
  /**
   * Where the data begins, counted like the start of a window. Windows begin at multiples of the
   * longest element, so that this tells what is aligned before there is any window.
   */
  readonly dataStart: number;
  readonly path: string | undefined;
  #closed = false;

  constructor(table: HeaderTable, dataStart: number, path: string | undefined) {
    this.table = table;
    this.dataStart = dataStart;
    this.path = path;
  }

  abstract get backend(): Backend;

  get closed(): boolean {
    return this.#closed;
  }

  /** @throws {SafetensorsError} CLOSED */
  assertOpen(): void {
    if (this.closed) {
      throw new SafetensorsError('CLOSED', 'the container has been closed', { path: this.path });
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.release();
  }

  /**
   * The window that holds bytes `[begin, end)` of the data whole.
   * @throws {SafetensorsError} CLOSED
   * @throws {RangeError} when the runtime has no buffer as long as that
   */
  abstract windowFor(begin: number, end: number): Window;

  /**
   * A window that holds byte `begin` of the data, and as much behind it as may be.
   * @throws {SafetensorsError} CLOSED
   */
  abstract windowAt(begin: number): Window;

  /**
   * Bytes of the data from `begin` on, without copying: up to `end`, or fewer where no buffer of
   * the runtime reaches that far.
   * @throws {SafetensorsError} CLOSED
   * @throws {TypeError} when the memory has been moved to another buffer
   */
  bytesFrom(begin: number, end: number): Uint8Array {
    const { buffer, start } = this.windowAt(begin);
    const offset = this.dataStart + begin - start;
    const length = Math.min(end - begin, buffer.byteLength - offset);
    if (length <= 0) throw new TypeError('the memory of the tensors has been detached');
    return new Uint8Array(buffer, offset, length);
  }

  /**
   * Keeps the memory where it is until the hold is disposed of, also when the container is closed
   * before: for whoever has given its address to another thread. Nothing more can be read through
   * the container then, but what is being read goes on.
   * @throws {SafetensorsError} CLOSED
   */
  abstract hold(): Hold;

  /**
   * Makes sure that what has been read of bytes `[begin, end)` of the data was what the file has there:
   * that it has lost no pages before. Says nothing of a file that was rewritten.
   * @throws {SafetensorsError} FILE_CHANGED, CLOSED
   */
  assertIntact(_begin: number, _end: number): void {
    this.assertOpen();
  }

  /**
   * {@link assertIntact} of all that there is, header included.
   * @throws {SafetensorsError} FILE_CHANGED, CLOSED
   */
  assertAllIntact(): void {
    this.assertOpen();
  }

  /**
   * Makes sure that no file has lost pages, and that losing some would be noticed. What else may become of
   * a file is not looked at.
   * @throws {SafetensorsError} FILE_CHANGED, CLOSED
   */
  checkFiles(): void {
    this.assertOpen();
  }

  /** Of a byte, counted like the start of a window. */
  fileAt(position: number): FilePlace {
    return { path: this.path, offset: position };
  }

  /** Whether a window over bytes `[begin, end)` of the data is there without reading them. */
  isThere(_begin: number, _end: number): boolean {
    return true;
  }

  /**
   * Bytes of the data as {@link bytesFrom} has them; where they are not in memory, they are read on another
   * thread. Nothing keeps those but whoever has them.
   */
  bytesSoon(begin: number, end: number): Uint8Array | Promise<Uint8Array> {
    return this.bytesFrom(begin, end);
  }

  /**
   * Bytes `[begin, end)` of the data, all of them, read on other threads; `undefined` where windows are
   * there without reading ({@link isThere}).
   *
   * @throws {SafetensorsError} CLOSED, FILE_CHANGED
   * @throws {RangeError} when the runtime has no buffer as long as that
   * @throws the reason of the signal
   */
  load(
    _begin: number,
    _end: number,
    _signal: AbortSignal | undefined,
  ): Promise<Uint8Array> | undefined {
    return undefined;
  }

  /** What of the memory is there, where it comes from files. */
  get pages(): Pages | undefined {
    return undefined;
  }

  /** Whether the bytes are a copy of those that the container is over. */
  get isCopy(): boolean {
    return false;
  }

  /**
   * Copies runs of bytes of the data to memory of their own: a storage in which they are the data.
   * @throws {SafetensorsError} CLOSED
   * @throws {SafetensorsError} FILE_CHANGED when the file has lost pages
   * @throws {RangeError} when there is no memory for that
   */
  abstract gather(runs: Runs): Storage;

  /**
   * {@link gather}, a piece at a time, on other threads where the memory is ours. A signal ends it, with
   * its reason; so does closing.
   */
  abstract gatherAsync(runs: Runs, signal: AbortSignal | undefined): Promise<Storage>;

  /** Takes note of a copy that a tensor made, which closing is to empty too. */
  abstract noteCopy(copy: ArrayBuffer): void;

  /** Keeps the memory of such a copy, as {@link hold} does that of the container. */
  abstract holdCopy(copy: ArrayBuffer): Disposable;

  /** Called once. */
  protected abstract release(): void;
}
