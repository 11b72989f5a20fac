import type { Storage } from '../storage.ts';

/** Where the bytes of a tensor to be written come from. */
export interface ByteSource {
  readonly byteLength: number;
  /** The container's, if it is a tensor of one. */
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
    return this.storage.path;
  }

  bytes(begin: number, end: number): Uint8Array {
    return this.storage.bytesFrom(this.#begin + begin, this.#begin + end);
  }
}

/** Memory that the caller has. */
export class ViewSource implements ByteSource {
  readonly byteLength: number;
  readonly path = undefined;
  readonly storage = undefined;
  readonly #view: ArrayBufferView;

  constructor(view: ArrayBufferView) {
    this.#view = view;
    this.byteLength = view.byteLength;
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
}
