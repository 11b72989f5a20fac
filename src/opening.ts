import { SafetensorsError, systemError } from './errors.ts';
import {
  allocateHeader,
  BLANK_PIECE_BYTES,
  HEADER_PADDING,
  HeaderEnd,
  LENGTH_BYTES,
} from './header/bytes.ts';
import { parseHeader } from './header/parse.ts';
import { headerLength, PREAMBLE_BYTES } from './header/preamble.ts';
import type { FileIdentity } from './identity.ts';
import {
  type BackendChoice,
  type FileHandle,
  type NativeFailure,
  native,
  type OpenedFile,
} from './native.ts';
import type { CheckedOptions } from './open-options.ts';
import { checkedPath, fullPathOf } from './path.ts';
import { storageOfMapped, storageOfRead } from './storage/file-storage.ts';
import type { Storage } from './storage/storage.ts';

/** A part of the header to be read. */
export interface HeaderRead {
  /** In the file. */
  position: number;
  target: Buffer;
}

/** What is known of a file before it is opened. */
export interface OpeningPlan {
  /** Bytes: another size is FILE_CHANGED. */
  expectedSize?: number;
  /** Whether the memory of the prefix is given up, so that the header may stay where it was read to. */
  keepsPrefix?: boolean;
}

/** A header that is whole, and not looked at yet. */
export interface RawHeader {
  /** With its padding. */
  readonly bytes: Buffer;
  /** Whether it is known to be ASCII, and so UTF-8. */
  readonly isAscii: boolean;
  /** In the file. */
  readonly dataStart: number;
  readonly dataLength: number;
  readonly path: string;
}

/** A file that is open, and whose header is right. */
export interface Opened {
  identity: FileIdentity;
  storage: Storage;
}

/** The steps of opening a file, which are the same whether their reads are awaited or not. */
export class Opening {
  /** As the caller named it. */
  readonly path: string;
  /** From the root: the working directory may change, also while the file is being opened. */
  readonly fullPath: string;
  readonly #options: CheckedOptions;
  #opened: OpenedFile | undefined;
  /** The beginning of the file. Memory that openings may share: nothing of it outlives the opening. */
  #prefix: Buffer = Buffer.alloc(0);
  /** Where the header ends in the file, and where what is needed of it does. */
  #dataStart = 0;
  #headerEnd = new HeaderEnd(0);
  /** With its padding. */
  #header: Buffer | undefined;

  constructor(path: string | URL, options: CheckedOptions, fullPath?: string) {
    this.path = checkedPath(path);
    this.fullPath = fullPath ?? fullPathOf(this.path);
    this.#options = options;
  }

  get backend(): BackendChoice {
    return this.#options.backend;
  }

  get handle(): FileHandle {
    return this.#known().handle;
  }

  /** All steps up to the whole header, on other threads. */
  async read(opening: Promise<OpenedFile>, prefix: Buffer): Promise<void> {
    this.begin(await opening, prefix);
    await this.readRest();
  }

  /** What is left of the header after {@link begin}, on other threads. */
  async readRest(): Promise<void> {
    for (let read = this.nextRead(); read; read = this.nextRead()) {
      this.received(await native().read(this.handle, read.position, read.target, false), read);
    }
  }

  begin(opened: OpenedFile, prefix: Buffer, plan: OpeningPlan = {}): void {
    const { expectedSize = opened.size, keepsPrefix = false } = plan;
    this.#opened = opened;
    if (opened.size !== expectedSize) {
      const message = `the file went from ${expectedSize} to ${opened.size} bytes while it was opened`;
      throw new SafetensorsError('FILE_CHANGED', message, { path: this.path });
    }
    this.#prefix = prefix.subarray(0, opened.prefixBytes);
    if (this.#prefix.length < Math.min(PREAMBLE_BYTES, opened.size)) throw this.#shrunk();
    const { maxHeaderBytes } = this.#options;
    const length = headerLength(this.#prefix, opened.size, { maxHeaderBytes, path: this.path });
    this.#dataStart = LENGTH_BYTES + length;
    this.#headerEnd = new HeaderEnd(length);
    const padded = this.#dataStart + HEADER_PADDING;
    if (keepsPrefix && this.#dataStart <= opened.prefixBytes && padded <= prefix.length) {
      this.#header = prefix.subarray(LENGTH_BYTES, padded).fill(0, length);
    }
  }

  /** What must be read next; undefined when the header is whole. */
  nextRead(): HeaderRead | undefined {
    const position = this.#headerEnd.nextPiece;
    if (position !== undefined) {
      return { position, target: Buffer.allocUnsafeSlow(BLANK_PIECE_BYTES) };
    }
    if (this.#header !== undefined) return undefined;
    const headerEnd = this.#headerEnd.value;
    this.#header = allocateHeader(headerEnd - LENGTH_BYTES);
    const copied = this.#prefix.copy(this.#header, 0, LENGTH_BYTES, headerEnd);
    const target = this.#header.subarray(copied, -HEADER_PADDING);
    return target.length > 0 ? { position: LENGTH_BYTES + copied, target } : undefined;
  }

  received(bytes: number, { target }: HeaderRead): void {
    if (bytes < target.length) throw this.#shrunk();
    if (this.#headerEnd.nextPiece !== undefined) this.#headerEnd.look(target);
  }

  /** The header, when it is whole. */
  get header(): RawHeader {
    return {
      bytes: this.#header ?? allocateHeader(0),
      isAscii: this.#known().asciiEnd >= this.#dataStart,
      dataStart: this.#dataStart,
      dataLength: this.identity.size - this.#dataStart,
      path: this.path,
    };
  }

  get identity(): FileIdentity {
    return this.#known();
  }

  /** Lets go of the file, whose header is whole. */
  close(): void {
    native().close(this.handle);
  }

  finish(): Opened {
    const opened = this.#known();
    const { bytes, dataStart, dataLength, path } = this.header;
    const { duplicates, faultGuard } = this.#options;
    const table = parseHeader(bytes, { dataLength, path, duplicates });
    const { handle, size } = opened;
    const dataPlace = { dataStart, path, table, byteLength: size };
    if (!opened.mapped) {
      const files = [{ handle, start: 0, path: this.path }];
      return { identity: opened, storage: storageOfRead(handle, files, dataPlace) };
    }
    // A mapping needs no descriptor: so there may be more models open than descriptors.
    native().closeDescriptor(handle);
    return { identity: opened, storage: storageOfMapped(handle, { ...dataPlace, faultGuard }) };
  }

  /** Lets go of the file; the error to throw. */
  fail(error: unknown): unknown {
    if (this.#opened) native().close(this.#opened.handle);
    return openingError(error, this.path);
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

/** A failure of the addon as the caller is to see it; any other error as it is. */
export function openingError(error: unknown, path: string): unknown {
  if (!isNativeFailure(error)) return error;
  if (error.notAFile !== undefined) {
    const message = `this is ${error.notAFile}, not a regular file: save its contents to one`;
    return new SafetensorsError('NOT_SAFETENSORS', message, { path });
  }
  return error.errno === undefined ? error : systemError(error.errno, error.syscall, path);
}

function isNativeFailure(error: unknown): error is NativeFailure {
  return error instanceof Error && 'syscall' in error && !(error instanceof SafetensorsError);
}
