import { resolve } from 'node:path';
import { type CheckedOptions, type OpenOptions, openOptions } from './container.ts';
import { SafetensorsError, systemError } from './errors.ts';
import {
  allocateHeader,
  BLANK_PIECE_BYTES,
  HEADER_PADDING,
  isBlank,
  LENGTH_BYTES,
  LONG_HEADER_BYTES,
} from './header/bytes.ts';
import { parseHeader } from './header/parse.ts';
import { headerLength, PREAMBLE_BYTES } from './header/preamble.ts';
import { MappedStorage } from './mapped-storage.ts';
import { type FileHandle, type NativeFailure, native, type OpenedFile } from './native.ts';
import { checkedPath } from './path.ts';

/** A part of the header to be read. */
export interface HeaderRead {
  /** In the file. */
  position: number;
  target: Buffer;
}

/** A file that is open, and whose header is right. */
export interface Opened {
  identity: FileIdentity;
  storage: MappedStorage;
}

/** What tells one state of one file from another. */
export type FileIdentity = Pick<OpenedFile, 'device' | 'inode' | 'size' | 'modifiedNs'>;

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
  #headerEnd = 0;
  #seeksBlanks = false;
  /** With its padding. */
  #header: Buffer | undefined;

  constructor(path: string | URL, options?: OpenOptions) {
    this.path = checkedPath(path);
    // Not the empty path: it leads nowhere, and not to the working directory.
    this.fullPath = this.path && resolve(this.path);
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

  finish(): Opened {
    const opened = this.#known();
    const table = parseHeader(this.#header ?? allocateHeader(0), {
      dataLength: opened.size - this.#dataStart,
      duplicates: this.#options.duplicates,
      path: this.path,
    });
    // A mapping needs no descriptor: so there may be more models open than descriptors.
    native().closeDescriptor(opened.handle);
    const place = { byteLength: opened.size, dataStart: this.#dataStart, path: this.path };
    return { identity: opened, storage: new MappedStorage(opened.handle, table, place) };
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
