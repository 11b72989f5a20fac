import { Container } from './container.ts';
import { SafetensorsError } from './errors.ts';
import { changeOf, type FileIdentity } from './identity.ts';
import { native } from './native.ts';
import { type OpenOptions, openOptions } from './open-options.ts';
import { Opening } from './opening.ts';
import type { Storage } from './storage/storage.ts';
import type { AnyTensor } from './tensor.ts';

/**
 * Bytes read at once when a file is opened: the whole header of most shards (73 KB for one of
 * DeepSeek-V3), so that one trip to the file does.
 */
const PREFIX_BYTES = 128 * 1024;

/** The same for the calling thread, to which a second read costs less than to read what is no header. */
const SYNC_PREFIX_BYTES = 16 * 1024;

/**
 * The tensors of a mapped safetensors file.
 *
 * Each view of a tensor keeps the mapping alive by itself. {@link close} empties every view at once
 * (their `length` becomes 0), copies of misaligned tensors included; without it, garbage collection
 * ends the mapping after the last view is gone.
 */
export class SafetensorsFile extends Container {
  declare readonly path: string;
  readonly #storage: Storage;
  readonly #identity: FileIdentity;
  /** From the root, since the working directory may change. */
  readonly #fullPath: string;

  /** @internal Made by {@link safeOpen}. */
  constructor(opening: Opening) {
    if (!(opening instanceof Opening)) {
      throw new TypeError('a SafetensorsFile is made by safeOpen and safeOpenSync');
    }
    const { identity, storage } = opening.finish();
    super(opening.path, identity.size, storage);
    this.#storage = storage;
    this.#identity = identity;
    this.#fullPath = opening.fullPath;
  }

  /**
   * Makes sure that the path still leads to the file that was opened, and that the file still has
   * the size and the modification time it had then. (A mere `touch` counts as a change, and a renamed
   * file as removed.)
   *
   * A file that was replaced or removed keeps its old contents for those who have it open. One that
   * was rewritten in place does not, and one that was cut short has lost pages. A page that was lost once
   * stays lost until the file is opened again, whatever becomes of the file.
   *
   * Also puts the handler of {@link OpenOptions.faultGuard} back if another has taken its place.
   *
   * @throws {SafetensorsError} FILE_CHANGED, CLOSED
   */
  override check(): void {
    this.#storage.assertOpen();
    const change = changeOf(this.#fullPath, this.#identity);
    if (change !== undefined) {
      throw new SafetensorsError('FILE_CHANGED', `the file ${change} since it was opened`, {
        path: this.path,
      });
    }
    this.#storage.checkFiles();
  }
}

/**
 * Opens and maps a safetensors file, and checks its header. No data is read, and no ArrayBuffer is
 * made over it, before a tensor is asked for its `data`.
 *
 * @param path A path or a `file:` URL.
 * @returns The open file; {@link SafetensorsFile.close} it, or leave that to garbage collection.
 * @throws {SafetensorsError} for everything the format refuses
 * @throws {Error} of Node's own shape (`code: 'ENOENT'`) for what the file system refuses
 */
export async function safeOpen(
  path: string | URL,
  options?: OpenOptions,
): Promise<SafetensorsFile> {
  const opening = new Opening(path, openOptions(options));
  // Its own prefix for each: openings may overlap.
  const prefix = Buffer.allocUnsafeSlow(PREFIX_BYTES);
  try {
    await opening.read(native().open(opening.fullPath, prefix, opening.backend), prefix);
    return new SafetensorsFile(opening);
  } catch (error) {
    throw opening.fail(error);
  }
}

/** {@link safeOpen}, on the calling thread. */
export function safeOpenSync(path: string | URL, options?: OpenOptions): SafetensorsFile {
  const opening = new Opening(path, openOptions(options));
  syncPrefix ??= Buffer.allocUnsafeSlow(SYNC_PREFIX_BYTES);
  try {
    opening.begin(native().openSync(opening.fullPath, syncPrefix, opening.backend), syncPrefix);
    for (let read = opening.nextRead(); read; read = opening.nextRead()) {
      opening.received(native().readSync(opening.handle, read.position, read.target, false), read);
    }
    return new SafetensorsFile(opening);
  } catch (error) {
    throw opening.fail(error);
  }
}

let syncPrefix: Buffer | undefined;

/**
 * All tensors of a file by their names, in the header's order. There is nothing to close: the file
 * stays mapped until the last of the tensors and their views is gone.
 *
 * @throws as {@link safeOpen} does
 */
export async function loadFile(
  path: string | URL,
  options?: OpenOptions,
): Promise<Map<string, AnyTensor>> {
  return new Map(await safeOpen(path, options));
}
