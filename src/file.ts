import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Container, type OpenOptions, openOptions } from './container.ts';
import { SafetensorsError, systemError } from './errors.ts';
import {
  allocateHeader,
  BLANK_PIECE_BYTES,
  HEADER_PADDING,
  isBlank,
  LONG_HEADER_BYTES,
} from './header/bytes.ts';
import { LENGTH_BYTES, parseHeader } from './header/parse.ts';
import { headerLength, PREAMBLE_BYTES } from './header/preamble.ts';
import { MappedStorage } from './mapped-storage.ts';
import { type FileHandle, type NativeFailure, native, type OpenedFile } from './native.ts';
import type { AnyTensor } from './tensor.ts';

/**
 * Bytes read at once when a file is opened: the whole header of most shards (73 KB for one of
 * DeepSeek-V3), so that one trip to the file does.
 */
const PREFIX_BYTES = 128 * 1024;

/**
 * The tensors of a mapped safetensors file.
 *
 * Each view of a tensor keeps the mapping alive by itself. {@link close} empties every view at once
 * (their `length` becomes 0), copies of misaligned tensors included; without it, garbage collection
 * ends the mapping after the last view is gone.
 */
export class SafetensorsFile extends Container {
  declare readonly path: string;
  readonly #storage: MappedStorage;
  readonly #identity: FileIdentity;
  /** The path from the root, since the working directory may change. */
  readonly #fullPath: string;

  /** @internal Made by {@link safeOpen}. */
  constructor(path: string, opened: OpenedFile, storage: MappedStorage) {
    super(path, opened.size, storage);
    this.#storage = storage;
    this.#identity = opened;
    this.#fullPath = resolve(path);
  }

  /**
   * Makes sure that the path still leads to the file that was opened, and that the file still has
   * the size and the modification time it had then.
   *
   * A file that was replaced or removed keeps its old contents for those who have it open. One that
   * was rewritten in place does not, and one that was cut short has lost pages.
   *
   * @throws {SafetensorsError} FILE_CHANGED, CLOSED
   */
  override check(): void {
    this.#storage.assertOpen();
    const change = this.#change();
    if (change !== undefined) {
      throw new SafetensorsError('FILE_CHANGED', `the file ${change} since it was opened`, {
        path: this.path,
      });
    }
  }

  #change(): string | undefined {
    const now = statSync(this.#fullPath, { bigint: true, throwIfNoEntry: false });
    const then = this.#identity;
    if (now === undefined) return 'was removed';
    if (now.dev !== then.device || now.ino !== then.inode) return 'was replaced';
    if (now.size !== BigInt(then.size)) return `went from ${then.size} to ${now.size} bytes`;
    if (now.mtimeNs !== then.modifiedNs) return 'was rewritten';
    return undefined;
  }
}

type FileIdentity = Pick<OpenedFile, 'device' | 'inode' | 'size' | 'modifiedNs'>;

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
  const opening = new Opening(path, options);
  // Its own prefix for each: openings may overlap.
  const prefix = Buffer.allocUnsafeSlow(PREFIX_BYTES);
  try {
    opening.begin(await native().open(opening.path, prefix), prefix);
    for (let read = opening.nextRead(); read; read = opening.nextRead()) {
      opening.received(native().readSync(opening.handle, read.position, read.target), read);
    }
    return opening.finish();
  } catch (error) {
    throw opening.fail(error);
  }
}

/** {@link safeOpen}, on the calling thread. */
export function safeOpenSync(path: string | URL, options?: OpenOptions): SafetensorsFile {
  const opening = new Opening(path, options);
  syncPrefix ??= Buffer.allocUnsafeSlow(PREFIX_BYTES);
  try {
    opening.begin(native().openSync(opening.path, syncPrefix), syncPrefix);
    for (let read = opening.nextRead(); read; read = opening.nextRead()) {
      opening.received(native().readSync(opening.handle, read.position, read.target), read);
    }
    return opening.finish();
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

interface HeaderRead {
  /** In the file. */
  position: number;
  target: Buffer;
}

/** The steps of opening a file, which are the same whether their reads are awaited or not. */
class Opening {
  readonly path: string;
  readonly #options: Required<OpenOptions>;
  #opened: OpenedFile | undefined;
  /** The beginning of the file; only until the header is whole. */
  #prefix: Buffer = Buffer.alloc(0);
  /** Where the header ends in the file, and where what is needed of it does. */
  #dataStart = 0;
  #headerEnd = 0;
  #seeksBlanks = false;
  /** With its padding. */
  #header: Buffer | undefined;

  constructor(path: string | URL, options?: OpenOptions) {
    this.path = checkedPath(path);
    this.#options = openOptions(options);
  }

  get handle(): FileHandle {
    return this.#known().handle;
  }

  begin(opened: OpenedFile, prefix: Buffer): void {
    this.#opened = opened;
    this.#prefix = prefix.subarray(0, opened.prefixBytes);
    if (this.#prefix.length < Math.min(PREAMBLE_BYTES, opened.size)) throw this.#shrunk();
    const { maxHeaderBytes } = this.#options;
    const length = headerLength(this.#prefix, opened.size, { maxHeaderBytes, path: this.path });
    this.#dataStart = LENGTH_BYTES + length;
    this.#headerEnd = this.#dataStart;
    this.#seeksBlanks = length > LONG_HEADER_BYTES;
  }

  /** What must be read next; undefined when the header is whole. */
  nextRead(): HeaderRead | undefined {
    if (this.#seeksBlanks) {
      const target = Buffer.allocUnsafeSlow(BLANK_PIECE_BYTES);
      return { position: this.#headerEnd - BLANK_PIECE_BYTES, target };
    }
    if (this.#header !== undefined) return undefined;
    this.#header = allocateHeader(this.#headerEnd - LENGTH_BYTES);
    const copied = this.#prefix.copy(this.#header, 0, LENGTH_BYTES, this.#headerEnd);
    const target = this.#header.subarray(copied, -HEADER_PADDING);
    return target.length > 0 ? { position: LENGTH_BYTES + copied, target } : undefined;
  }

  received(bytes: number, { target }: HeaderRead): void {
    if (bytes < target.length) throw this.#shrunk();
    if (!this.#seeksBlanks) return;
    this.#seeksBlanks = isBlank(target);
    if (!this.#seeksBlanks) return;
    this.#headerEnd -= BLANK_PIECE_BYTES;
    this.#seeksBlanks = this.#headerEnd - LENGTH_BYTES > BLANK_PIECE_BYTES;
  }

  finish(): SafetensorsFile {
    const opened = this.#known();
    const table = parseHeader(this.#header ?? allocateHeader(0), {
      dataLength: opened.size - this.#dataStart,
      duplicates: this.#options.duplicates,
      path: this.path,
    });
    const place = { byteLength: opened.size, dataStart: this.#dataStart, path: this.path };
    return new SafetensorsFile(this.path, opened, new MappedStorage(opened.handle, table, place));
  }

  /** Lets go of the file; the error to throw. */
  fail(error: unknown): unknown {
    if (this.#opened) native().close(this.#opened.handle);
    if (!isNativeFailure(error)) return error;
    if (error.notAFile !== undefined) {
      const message = `this is ${error.notAFile}, not a regular file: save its contents to one`;
      return new SafetensorsError('NOT_SAFETENSORS', message, { path: this.path });
    }
    return error.errno === undefined ? error : systemError(error.errno, error.syscall, this.path);
  }

  #known(): OpenedFile {
    if (this.#opened === undefined) throw new Error('the file is not open yet');
    return this.#opened;
  }

  #shrunk(): SafetensorsError {
    return new SafetensorsError('FILE_CHANGED', 'the file became shorter while it was opened', {
      path: this.path,
    });
  }
}

function isNativeFailure(error: unknown): error is NativeFailure {
  return error instanceof Error && 'syscall' in error && !(error instanceof SafetensorsError);
}

function checkedPath(path: string | URL): string {
  const text = path instanceof URL ? fileURLToPath(path) : path;
  if (typeof text !== 'string') throw new TypeError('path: expected a string or a file: URL');
  if (text.includes('\0')) throw new TypeError('path: a path has no NUL');
  return text;
}
