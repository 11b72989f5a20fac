import { checkNames, checkString } from './arguments.ts';
import type { Dtype } from './dtypes.ts';
import { SafetensorsError } from './errors.ts';
import { quoteName } from './escape.ts';
import type { HeaderTable } from './header/table.ts';
import {
  type Entries,
  type PrefetchOptions,
  prefetch,
  type Residency,
  release,
  residency,
} from './paging/prefetch.ts';
import type { SliceRange } from './slice.ts';
import type { Backend, Storage } from './storage/storage.ts';
import { type AnyTensor, Tensor } from './tensor.ts';

/** What the header says of one tensor. */
export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** First and last + 1, in bytes from the start of the file's data. */
  readonly dataOffsets: readonly [begin: number, end: number];
}

/** Metadata keys that `console.log` shows; a hostile file may have millions. */
const SHOWN_METADATA = 100;

/** Names that an error suggests. */
const SUGGESTED_NAMES = 3;

/**
 * The interface that all containers of tensors share.
 *
 * After {@link close}, `path`, `byteLength`, `size`, `metadata`, `backend` and `closed` can still be read,
 * and the `shards` and `version` of a model; everything else throws CLOSED.
 */
export abstract class Container implements Iterable<[name: string, tensor: AnyTensor]> {
  /** The file, as the caller named it; `undefined` for bytes in memory. */
  readonly path: string | undefined;
  /** Bytes in all, header included. */
  readonly byteLength: number;
  readonly #storage: Storage;

  /** @internal */
  protected constructor(path: string | undefined, byteLength: number, storage: Storage) {
    this.path = path;
    this.byteLength = byteLength;
    this.#storage = storage;
  }

  /** `__metadata__`: frozen, without a prototype; empty when the header has none. */
  get metadata(): Readonly<Record<string, string>> {
    return this.#storage.table.metadata;
  }

  /** Where the bytes are: see {@link OpenOptions.backend}; `'memory'` for bytes in memory. */
  get backend(): Backend {
    return this.#storage.backend;
  }

  /** Number of tensors. */
  get size(): number {
    return this.#storage.table.count;
  }

  get closed(): boolean {
    return this.#storage.closed;
  }

  /** Names in the header's order. */
  keys(): string[] {
    const table = this.#openTable();
    return Array.from({ length: table.count }, (_, entry) => table.name(entry));
  }

  /** Names in the order of the data: reading tensors so reads the file from front to back. */
  offsetKeys(): string[] {
    const table = this.#openTable();
    return Array.from({ length: table.count }, (_, rank) => table.name(table.atOffsetRank(rank)));
  }

  has(name: string): boolean {
    return this.#openTable().indexOf(checkedName(name)) >= 0;
  }

  /**
   * What the header says of a tensor, without touching its data.
   * @throws {SafetensorsError} TENSOR_NOT_FOUND, CLOSED
   */
  info(name: string): TensorInfo {
    const entry = this.entryOf(name);
    const { table } = this.#storage;
    return {
      dtype: table.dtype(entry).name,
      shape: table.shape(entry),
      dataOffsets: table.dataOffsets(entry),
    };
  }

  /**
   * A tensor by its name; a new object each time, over the same memory.
   * @throws {SafetensorsError} TENSOR_NOT_FOUND, CLOSED
   */
  getTensor(name: string): AnyTensor {
    const entry = this.entryOf(name);
    return new Tensor(this.#storage, entry, name) as AnyTensor;
  }

  /**
   * A part of a tensor: `getTensor(name).slice(...ranges)`, see {@link Tensor.slice}.
   * @throws {SafetensorsError} TENSOR_NOT_FOUND, SLICE_RANGE, CLOSED
   */
  getSlice(name: string, ...ranges: SliceRange[]): AnyTensor {
    return this.getTensor(name).slice(...ranges);
  }

  /** Every name with its tensor, in the header's order. */
  *[Symbol.iterator](): Generator<[name: string, tensor: AnyTensor], void, undefined> {
    for (let entry = 0; entry < this.#openTable().count; entry++) {
      const name = this.#storage.table.name(entry);
      yield [name, new Tensor(this.#storage, entry, name) as AnyTensor];
    }
  }

  /**
   * Reads tensors into memory before they are needed, in the order of the data and on other threads, so
   * that using them waits for no disk. Does nothing for bytes in memory. With the backend `'read'` they
   * stay there until {@link release} or {@link close}.
   *
   * @param names Those to read; all by default.
   * @throws {SafetensorsError} TENSOR_NOT_FOUND, CLOSED (also when the container is closed
   *   meanwhile), FILE_CHANGED when pages are lost, MEMORY_LIMIT
   * @throws the reason of `signal`, and whatever `onProgress` throws
   */
  async prefetch(names?: Iterable<string>, options?: PrefetchOptions): Promise<void> {
    await prefetch(this.#storage, this.#entries(names), options);
  }

  /**
   * How much of tensors is in memory: the process's own, or the system's page cache. Linux tells of the
   * latter for files that the process owns or may write; of others only what this process has mapped
   * counts, by touching it or by {@link prefetch}. With the backend `'read'`: tensors that were
   * prefetched, or that somebody has views of.
   *
   * @param names Those to look at; all by default.
   * @throws {SafetensorsError} TENSOR_NOT_FOUND, CLOSED
   */
  async residency(names?: Iterable<string>): Promise<Residency> {
    return residency(this.#storage, this.#entries(names));
  }

  /**
   * Gives back memory of tensors: their pages leave the process, and are read again when they are
   * touched. Pages that hold bytes of other tensors too stay. Whatever was written to the views is
   * lost: they show the file again. The system's page cache may keep what other processes share.
   * Does nothing for bytes in memory, nor to copies that are a tensor's own. With the backend `'read'`,
   * memory goes when nobody has a view of it any more; views stay as they are.
   *
   * @param names Those to give back; all by default.
   * @throws {SafetensorsError} TENSOR_NOT_FOUND, CLOSED
   */
  async release(names?: Iterable<string>): Promise<void> {
    await release(this.#storage, this.#entries(names));
  }

  /**
   * Makes sure that the data is still what was opened.
   * @throws {SafetensorsError} FILE_CHANGED, CLOSED
   */
  abstract check(): void;

  /**
   * Makes sure that no page that was lost has been met so far: that what was read from views was what the
   * files have, not zeros. For after a computation over views; costs no access to a disk, unlike
   * {@link check}, and does not mind that a file was replaced or rewritten.
   * @throws {SafetensorsError} FILE_CHANGED, with the file and the place; CLOSED
   */
  assertIntact(): void {
    this.#storage.assertAllIntact();
  }

  /** Gives up the memory. Idempotent; see the container's class for what becomes of its views. */
  close(): void {
    this.#storage.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** What `console.log` shows. */
  [Symbol.for('nodejs.util.inspect.custom')](
    _depth: number,
    options: object,
    inspect: (value: object, options: object) => string,
  ): string {
    const { path, size, byteLength, closed } = this;
    const { metadataCount } = this.#storage.table;
    const metadata = metadataCount > SHOWN_METADATA ? `${metadataCount} keys` : this.metadata;
    return `${this.constructor.name} ${inspect({ path, size, byteLength, metadata, closed }, options)}`;
  }

  #entries(names: Iterable<string> | undefined): Entries {
    this.#openTable();
    if (names === undefined) return undefined;
    checkNames(names);
    const asked = Array.from(names, checkedName);
    // The iterable may have closed it.
    const entries = this.#openTable().indicesOf(asked);
    const missing = entries.indexOf(-1);
    if (missing >= 0) throw this.#notFound(asked[missing]);
    return entries;
  }

  #openTable(): HeaderTable {
    this.#storage.assertOpen();
    return this.#storage.table;
  }

  /**
   * @internal The number of a tensor in the table.
   * @throws {SafetensorsError} TENSOR_NOT_FOUND, CLOSED
   */
  protected entryOf(name: string): number {
    const table = this.#openTable();
    const entry = table.indexOf(checkedName(name));
    if (entry >= 0) return entry;
    throw this.#notFound(name);
  }

  #notFound(name: string): SafetensorsError {
    const { table } = this.#storage;
    const nearest = table.nearest(name, SUGGESTED_NAMES);
    const hint = nearest.length > 0 ? `; the nearest are ${nearest.map(quoteName).join(', ')}` : '';
    const message = `no tensor ${quoteName(name)} among ${table.count}${hint}`;
    return new SafetensorsError('TENSOR_NOT_FOUND', message, { path: this.path, tensor: name });
  }
}

function checkedName(name: string): string {
  checkString(name, 'name');
  return name;
}
