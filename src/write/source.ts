import { SafetensorsError } from '../errors.ts';
import { loadedNative } from '../native.ts';
import { lostMessage } from '../paging/paging-error.ts';
import type { FilePlace, Hold, Storage } from '../storage/storage.ts';

/** Where the bytes of a tensor to be written come from. */
export interface ByteSource {
  readonly byteLength: number;
  /** The file's, if it is a tensor of a container. */
  readonly path: string | undefined;
  /** What must be held while its bytes are in use by other threads. */
  readonly storage: Storage | undefined;
  /**
   * Bytes `[begin, end)` without copying them, or fewer, from `begin` on, where no buffer reaches
   * further; never none. Asked for again for each part, since containers are closed and buffers
   * moved in the meantime.
   *
   * @throws {SafetensorsError} CLOSED
   * @throws {TypeError} when the memory is no longer there
   */
  bytes(begin: number, end: number): Uint8Array;
  /** As {@link bytes}, but what has to be read is read on another thread. */
  bytesSoon(begin: number, end: number): Uint8Array | Promise<Uint8Array>;
  /** All of its bytes, read on other threads; `undefined` where they need not be read for {@link bytes}. */
  load(signal: AbortSignal | undefined): Promise<ByteSource> | undefined;
  /** Where byte `at` is in the file. */
  fileAt(at: number): FilePlace | undefined;
  /**
   * Makes sure that what has been read was what the file has: see {@link Storage.assertIntact}.
   * @param hold On the storage, where that may have been closed meanwhile
   * @throws {SafetensorsError} FILE_CHANGED
   */
  assertIntact(hold?: Hold): void;
}

/** A tensor of a container. */
export class TensorSource implements ByteSource {
  readonly storage: Storage;
  readonly byteLength: number;
  readonly #begin: number;

  /** Bytes `[begin, end)` of the data in `storage`. */
  constructor(storage: Storage, begin: number, end: number) {
    this.storage = storage;
    this.byteLength = end - begin;
    this.#begin = begin;
  }

  get path(): string | undefined {
    return this.fileAt(0).path;
  }

  bytes(begin: number, end: number): Uint8Array {
    return this.storage.bytesFrom(this.#begin + begin, this.#begin + end);
  }

  bytesSoon(begin: number, end: number): Uint8Array | Promise<Uint8Array> {
    return this.storage.bytesSoon(this.#begin + begin, this.#begin + end);
  }

  load(signal: AbortSignal | undefined): Promise<ByteSource> | undefined {
    const loading = this.storage.load(this.#begin, this.#begin + this.byteLength, signal);
    return loading?.then((bytes) => new LoadedSource(this.storage, bytes));
  }

  fileAt(at: number): FilePlace {
    return this.storage.fileAt(this.storage.dataStart + this.#begin + at);
  }

  assertIntact(hold: Pick<Hold, 'assertIntact'> = this.storage): void {
    hold.assertIntact?.(this.#begin, this.#begin + this.byteLength);
  }
}

/** A tensor of a container that has been read. */
class LoadedSource implements ByteSource {
  readonly storage: Storage;
  readonly byteLength: number;
  readonly #bytes: Uint8Array;

  constructor(storage: Storage, bytes: Uint8Array) {
    this.storage = storage;
    this.byteLength = bytes.length;
    this.#bytes = bytes;
  }

  get path(): string | undefined {
    return this.storage.path;
  }

  bytes(begin: number, end: number): Uint8Array {
    this.storage.assertOpen();
    return this.#bytes.subarray(begin, end);
  }

  bytesSoon(begin: number, end: number): Uint8Array {
    return this.bytes(begin, end);
  }

  load(): undefined {}

  fileAt(): undefined {
    return undefined;
  }

  /** It was when it was read. */
  assertIntact(): void {}
}

/** Memory that the caller has. */
export class ViewSource implements ByteSource {
  readonly byteLength: number;
  readonly #view: ArrayBufferView;

  constructor(view: ArrayBufferView) {
    this.#view = view;
    this.byteLength = view.byteLength;
  }

  get path(): undefined {
    return undefined;
  }

  get storage(): undefined {
    return undefined;
  }

  bytes(begin: number, end: number): Uint8Array {
    const { buffer, byteOffset, byteLength } = this.#view;
    if (byteLength !== this.byteLength) {
      throw new TypeError(
        `data: expected ${this.byteLength} bytes until they are written, found ${byteLength}: ` +
          'its buffer was moved, resized or closed',
      );
    }
    const bytes = new Uint8Array(buffer, byteOffset + begin, end - begin);
    if (bytes.length === end - begin) return bytes;
    throw new TypeError('data: expected an array over a buffer, found one whose `buffer` is none');
  }

  bytesSoon(begin: number, end: number): Uint8Array {
    return this.bytes(begin, end);
  }

  load(): undefined {}

  fileAt(): undefined {
    return undefined;
  }

  /** The memory may be that of a mapped file: `data` of a tensor goes wherever callers pass it. */
  assertIntact(): void {
    const { buffer, byteOffset, byteLength } = this.#view;
    const lost = loadedNative()?.lostAt(new Uint8Array(buffer, byteOffset, byteLength));
    if (lost !== undefined) throw new SafetensorsError('FILE_CHANGED', lostMessage(lost));
  }
}

/**
 * The system refused to read the first byte: where that is a mapped file's, it counts as lost from now on.
 * Returns the first byte of that file that is.
 */
export function noteLost(memory: Uint8Array): number | undefined {
  const addon = loadedNative();
  addon?.noteLost(memory);
  return addon?.lostAt(memory);
}
