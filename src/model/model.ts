import { Container } from '../container.ts';
import { SafetensorsError } from '../errors.ts';
import { changeOf, type FileIdentity } from '../identity.ts';
import { Storage } from '../storage/storage.ts';
import type { ModelTable } from './model-table.ts';
import { versionOf } from './version.ts';

/** One of the files that a model is made of. */
export interface ModelShard {
  readonly path: string;
  /** Header included. */
  readonly byteLength: number;
}

/** A file that must not change as long as the model is open. */
export interface WatchedFile {
  readonly path: string;
  /** From the root, since the working directory may change. */
  readonly fullPath: string;
  readonly identity: FileIdentity;
}

/** What a model is made from. */
export interface ModelParts {
  /** The index; where there is none, the file. */
  readonly path: string;
  readonly storage: Storage;
  readonly shards: readonly WatchedFile[];
  readonly index?: WatchedFile;
  /** Where there is an index: which tensor is in which shard. */
  readonly table?: ModelTable;
}

/**
 * The tensors of a model, of all its files together.
 *
 * Memory is as with a single file: each view keeps the mapping of the whole model alive by itself;
 * {@link close} empties every view at once; without it, garbage collection ends the mapping after the
 * last view is gone.
 */
export class SafetensorsModel extends Container {
  /** The index; where there is none, the file. */
  declare readonly path: string;
  /** The files, in the order of their names. */
  readonly shards: readonly ModelShard[];
  readonly #storage: Storage;
  readonly #files: readonly WatchedFile[];
  readonly #table: ModelTable | undefined;

  /** @internal Made by {@link openModel}. */
  constructor(parts: ModelParts) {
    if (!(parts?.storage instanceof Storage)) {
      throw new TypeError('a SafetensorsModel is made by openModel');
    }
    const { path, storage, shards, index, table } = parts;
    const files = shards.map(({ path, identity }) =>
      Object.freeze({ path, byteLength: identity.size }),
    );
    super(
      path,
      files.reduce((sum, { byteLength }) => sum + byteLength, 0),
      storage,
    );
    this.#storage = storage;
    this.#files = index === undefined ? shards : [index, ...shards];
    this.#table = table;
    this.shards = Object.freeze(files);
  }

  /**
   * The state of the files that were opened: another text once one of them has been written or replaced,
   * the same in all threads and processes of this machine. Sent to a worker with the path, it makes
   * sure that {@link openModel} finds the same files there (its option `version`).
   */
  get version(): string {
    return versionOf(this.#files.map(({ identity }) => identity));
  }

  /**
   * The file that a tensor is in.
   * @throws {SafetensorsError} TENSOR_NOT_FOUND, CLOSED
   */
  shardOf(name: string): ModelShard {
    const entry = this.entryOf(name);
    return this.shards[this.#table?.shardOf(entry) ?? 0];
  }

  /**
   * Makes sure that the index and all shards are still the files that were opened: see
   * `SafetensorsFile.check`.
   * @throws {SafetensorsError} FILE_CHANGED, with the path of the file; CLOSED
   */
  override check(): void {
    this.#storage.assertOpen();
    for (const { path, fullPath, identity } of this.#files) {
      const change = changeOf(fullPath, identity);
      if (change !== undefined) {
        const message = `the file ${change} since the model was opened`;
        throw new SafetensorsError('FILE_CHANGED', message, { path });
      }
    }
    this.#storage.checkFiles();
  }
}
