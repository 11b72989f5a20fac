import { types } from 'node:util';
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
  /**
   * Copies bytes `[begin, end)` to where `at` is in `target`, if that costs less than {@link bytes}: whether it
   * did.
   * @throws as {@link bytes} does
   */
  copyFew?(target: Uint8Array, at: number, begin: number, end: number): boolean;
  /** All of its bytes, read on other threads; `undefined` where they need not be read for {@link bytes}. */
  load(signal: AbortSignal | undefined): Promise<ByteSource> | undefined;
  /** Where byte `at` is in the file. */
  fileAt(at: number): FilePlace | undefined;
  /**
   * Makes sure that memory of the caller's is still there, and that what has been read was what the file has: see
   * {@link Storage.assertIntact}.
   * @param hold On the storage, where that may have been closed meanwhile
   * @throws {SafetensorsError} FILE_CHANGED
   * @throws {TypeError} when the memory is no longer there
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

/**
 * As many bytes as V8 keeps in a typed array itself. It would make an ArrayBuffer for them, which then stays as
 * long as the array does, if it was asked for one.
 */
export const FEW_BYTES = 64;

/** Where few bytes are on their way, as any typed array has them. */
const few = new Uint8Array(FEW_BYTES);
const FEW: ReadonlyMap<string, { set(from: ArrayLike<never>): void }> = new Map(
  [
    few,
    new Int8Array(few.buffer),
    new Int16Array(few.buffer),
    new Uint16Array(few.buffer),
    new Int32Array(few.buffer),
    new Uint32Array(few.buffer),
    new Float32Array(few.buffer),
    new Float64Array(few.buffer),
    new BigInt64Array(few.buffer),
    new BigUint64Array(few.buffer),
  ].map((array) => [array[Symbol.toStringTag], array]),
);

/** Which typed array an object is, whatever its class says. */
const kindOf = Reflect.get(
  Object.getOwnPropertyDescriptor(
    Object.getPrototypeOf(Uint8Array.prototype),
    Symbol.toStringTag,
  ) ?? {},
  'get',
) as (this: object) => string;

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
    this.#assertThere();
    const { buffer, byteOffset } = this.#view;
    const bytes = new Uint8Array(buffer, byteOffset + begin, end - begin);
    if (bytes.length === end - begin) return bytes;
    throw new TypeError('data: expected an array over a buffer, found one whose `buffer` is none');
  }

  bytesSoon(begin: number, end: number): Uint8Array {
    return this.bytes(begin, end);
  }

  /**
   * Of arrays that begin with their buffer, as those do that V8 has not made one for. A tensor's `data` does only
   * where a window of a mapped file begins with it: reading that is what any reading of it is.
   */
  copyFew(target: Uint8Array, at: number, begin: number, end: number): boolean {
    if (begin === end) return true;
    const view = this.#view;
    if (this.byteLength > FEW_BYTES || !types.isTypedArray(view) || view.byteOffset > 0)
      return false;
    const same = FEW.get(kindOf.call(view));
    if (same === undefined) return false;
    this.#assertThere();
    // Between arrays of one kind bytes are copied, whatever numbers they are.
    same.set(view as unknown as ArrayLike<never>);
    for (let i = begin; i < end; i++) target[at + i - begin] = few[i];
    return true;
  }

  load(): undefined {}

  fileAt(): undefined {
    return undefined;
  }

  /** The memory may be that of a mapped file: `data` of a tensor goes wherever callers pass it. */
  assertIntact(): void {
    this.#assertThere();
    const addon = loadedNative();
    if (this.byteLength === 0 || !addon?.anyLost()) return;
    const { buffer, byteOffset, byteLength } = this.#view;
    const lost = addon.lostAt(new Uint8Array(buffer, byteOffset, byteLength));
    if (lost !== undefined) throw new SafetensorsError('FILE_CHANGED', lostMessage(lost));
  }

  #assertThere(): void {
    const { byteLength } = this.#view;
    if (byteLength === this.byteLength) return;
    throw new TypeError(
      `data: expected ${this.byteLength} bytes until they are written, found ${byteLength}: ` +
        'its buffer was moved, resized or closed',
    );
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
