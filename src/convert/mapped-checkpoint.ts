import { constants } from 'node:buffer';
import { changeOf } from '../identity.ts';
import { SafetensorsError } from '../index.ts';
import { type NativeFailure, native, type OpenedFile } from '../native.ts';
import { openingError } from '../opening.ts';
import { LOST_PAGES, lostMessage } from '../paging/paging-error.ts';
import { checkedPath, fullPathOf } from '../path.ts';

/** Buffers over a file that no single one reaches over begin at multiples of this. */
const WINDOW_BYTES = 2 ** 31;

/**
 * Bytes of a file that are no tensors: zip records, pickles. They are read into memory of their own,
 * where nobody can change them once they have been looked at.
 */
export interface ByteReader {
  readonly path: string;
  readonly size: number;
  /** @throws {SafetensorsError} FILE_CHANGED where the file has become shorter */
  read(begin: number, end: number): Promise<Buffer>;
}

interface ReadAt {
  readonly tensor?: string | undefined;
  readonly cause?: unknown;
}

/**
 * A file of any kind, mapped where that is safe, for what it holds besides its structure: bytes of tensors, which are
 * written elsewhere from where they are.
 *
 * Buffers over it keep the mapping alive, whatever becomes of this object: a write that is under way
 * when {@link close} is called goes on to its end.
 */
export class MappedCheckpoint implements ByteReader {
  /** As the caller named it. */
  readonly path: string;
  readonly size: number;
  readonly #fullPath: string;
  readonly #opened: OpenedFile;
  readonly #windows = new Map<number, ArrayBuffer>();

  private constructor(path: string, fullPath: string, opened: OpenedFile) {
    this.path = path;
    this.size = opened.size;
    this.#fullPath = fullPath;
    this.#opened = opened;
  }

  /** @throws {Error} of Node's own shape; {@link SafetensorsError} NOT_SAFETENSORS for a FIFO or the like */
  static async open(path: string | URL): Promise<MappedCheckpoint> {
    const checked = checkedPath(path);
    const fullPath = fullPathOf(checked);
    try {
      const opened = await native().open(fullPath, Buffer.alloc(1), 'auto');
      if (opened.mapped && opened.size > 0) native().guard(opened.handle, true);
      return new MappedCheckpoint(checked, fullPath, opened);
    } catch (error) {
      throw openingError(error, checked);
    }
  }

  async read(begin: number, end: number): Promise<Buffer> {
    const target = Buffer.allocUnsafeSlow(end - begin);
    await this.readInto(begin, target);
    return target;
  }

  /** Fills memory that nobody else has meanwhile. */
  async readInto(begin: number, target: Uint8Array): Promise<void> {
    let bytes: number;
    try {
      bytes = await native().read(this.#opened.handle, begin, target, true);
    } catch (error) {
      throw openingError(error, this.path);
    }
    if (bytes === target.length) return;
    throw new SafetensorsError('FILE_CHANGED', 'the file became shorter while it was read', {
      path: this.path,
    });
  }

  /** Whether there are {@link views}: not of files that are better not mapped, nor on every runtime. */
  get hasViews(): boolean {
    return this.mapped && native().allowsExternalBuffers();
  }

  /** Whether bytes can be gathered; if not, they are read. */
  get mapped(): boolean {
    return this.#opened.mapped;
  }

  /** Bytes where they are, in as few views as the runtime's longest buffer allows. */
  views(begin: number, end: number): Uint8Array[] {
    const views: Uint8Array[] = [];
    for (let at = begin; at < end; ) {
      const { buffer, start } = this.#window(at);
      const length = Math.min(end - at, start + buffer.byteLength - at);
      views.push(new Uint8Array(buffer, at - start, length));
      at += length;
    }
    return views;
  }

  /**
   * Copies runs of bytes of a tensor (as `NativeAddon.gather` has them) into memory that they fill.
   * @throws {SafetensorsError} FILE_CHANGED where pages are lost
   */
  async gather(runs: Float64Array, target: Uint8Array, tensor: string): Promise<void> {
    try {
      await native().gatherAsync(this.#opened.handle, runs, target, 0, target.length);
    } catch (error) {
      const { errno, offset } = error as NativeFailure;
      if (errno === LOST_PAGES) throw this.#lostPages({ offset, tensor, cause: error });
      throw openingError(error, this.path);
    }
    this.assertIntact({ tensor });
  }

  /**
   * Makes sure that no page has been lost that was mapped, ever.
   *
   * @param at What was read meanwhile, and how that failed.
   * @throws {SafetensorsError} FILE_CHANGED
   */
  assertIntact(at: ReadAt = {}): void {
    const offset = native().lostIn(this.#opened.handle, 0, this.mapped ? this.size : 0);
    if (offset !== undefined) throw this.#lostPages({ ...at, offset });
  }

  #lostPages({ offset, ...at }: ReadAt & { offset: number | undefined }): SafetensorsError {
    return new SafetensorsError('FILE_CHANGED', lostMessage(offset), { path: this.path, ...at });
  }

  /**
   * @throws {SafetensorsError} FILE_CHANGED unless it is still the file that was opened, as it was, and all
   *   that was read was its
   */
  check(): void {
    this.assertIntact();
    const change = changeOf(this.#fullPath, this.#opened);
    if (change === undefined) return;
    throw new SafetensorsError('FILE_CHANGED', `the file ${change} while it was converted`, {
      path: this.path,
    });
  }

  close(): void {
    this.#windows.clear();
    native().close(this.#opened.handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #window(at: number): { buffer: ArrayBuffer; start: number } {
    const windowBytes = this.size <= constants.MAX_LENGTH ? this.size : WINDOW_BYTES;
    const start = at - (at % windowBytes);
    let buffer = this.#windows.get(start);
    if (buffer === undefined) {
      const length = Math.min(windowBytes, this.size - start);
      buffer = native().mapBuffer(this.#opened.handle, start, length);
      if (buffer === undefined) throw new Error('this runtime allows no external ArrayBuffers');
      this.#windows.set(start, buffer);
    }
    return { buffer, start };
  }
}
