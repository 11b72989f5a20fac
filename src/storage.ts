import { SafetensorsError } from './errors.ts';
import type { HeaderTable } from './header/table.ts';

/** A buffer, and where it begins: in the file, or in the memory that a container was given. */
export interface Window {
  readonly buffer: ArrayBufferLike;
  readonly start: number;
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

  get closed(): boolean {
    return this.#closed;
  }

  /** @throws {SafetensorsError} CLOSED */
  assertOpen(): void {
    if (this.#closed) {
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

  /** Takes note of a copy that a tensor made, which closing is to empty too. */
  abstract noteCopy(copy: ArrayBuffer): void;

  /** Called once. */
  protected abstract release(): void;
}
