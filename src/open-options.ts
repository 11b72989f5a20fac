import { inspect } from 'node:util';
import { checkBoolean, checkInteger, checkObject } from './arguments.ts';
import type { DuplicatePolicy } from './header/parse.ts';
import { DEFAULT_MAX_HEADER_BYTES } from './header/preamble.ts';
import type { BackendChoice } from './native.ts';

export type { BackendChoice };

/** How bytes are read as a safetensors file. */
export interface ParseOptions {
  /**
   * What becomes of a tensor name or metadata key that appears twice. The format forbids it and
   * readers disagree on which one counts, so that `'reject'` (the default) is DUPLICATE_KEY;
   * `'last-wins'` reads as the reference does.
   */
  duplicates?: DuplicatePolicy | undefined;
  /** The longest header to accept, in bytes. Default: 100,000,000, the reference's limit. */
  maxHeaderBytes?: number | undefined;
}

/** How files are opened. */
export interface OpenOptions extends ParseOptions {
  /**
   * Where the bytes of tensors are to be. `'mmap'`: files are mapped into memory, nothing is copied,
   * and processes share it. `'read'`: what is used of a tensor is read into memory of this process's
   * own; nothing that happens to the file can take it away. `'auto'` (the default) maps, but where a file
   * system refuses that, or is far away (NFS, SMB, FUSE, 9p, Lustre and the like): there a page that
   * cannot be read ends a process, and so `'read'` is used. `backend` of the container tells which it is.
   */
  backend?: BackendChoice | undefined;
  /**
   * Whether the process is to live on when a mapped file loses pages, because it was cut short or its disk
   * fails: zeros take their place, and FILE_CHANGED is thrown by `check()` and by everything that has read
   * from the file. The first file that is opened so installs a handler of SIGBUS. `false` leaves signals
   * alone: touching such a page ends the process. Default: true. Files that are read need no guard.
   */
  faultGuard?: boolean | undefined;
}

const BACKEND_CHOICES: readonly BackendChoice[] = ['auto', 'mmap', 'read'];

/** Header positions are kept in 32 bits, and the header in one buffer. */
const LARGEST_MAX_HEADER_BYTES = 2 ** 31 - 1;

/** The headers of a model have at most so many times the bytes that one may have. */
export const MOST_HEADERS = 10;

/** {@link ParseOptions} with their defaults. */
export interface CheckedParseOptions {
  duplicates: DuplicatePolicy;
  maxHeaderBytes: number;
}

/** {@link OpenOptions} with their defaults. */
export interface CheckedOptions extends CheckedParseOptions {
  backend: BackendChoice;
  faultGuard: boolean;
}

/** Options with their defaults, checked. */
export function openOptions(options: OpenOptions = {}): CheckedOptions {
  const parse = parseOptions(options);
  const { backend = 'auto', faultGuard = true } = options;
  if (!BACKEND_CHOICES.includes(backend)) {
    throw new TypeError(
      `backend: expected 'auto', 'mmap' or 'read', found ${inspect(backend, { depth: 0 })}`,
    );
  }
  checkBoolean(faultGuard, 'faultGuard');
  return { ...parse, backend, faultGuard };
}

/** Options with their defaults, checked. */
export function parseOptions(options: ParseOptions = {}): CheckedParseOptions {
  checkObject(options, 'options');
  const { duplicates = 'reject', maxHeaderBytes = DEFAULT_MAX_HEADER_BYTES } = options;
  if (duplicates !== 'reject' && duplicates !== 'last-wins') {
    throw new TypeError(
      `duplicates: expected 'reject' or 'last-wins', found ${inspect(duplicates)}`,
    );
  }
  checkInteger(maxHeaderBytes, 'maxHeaderBytes', 0, LARGEST_MAX_HEADER_BYTES);
  return { duplicates, maxHeaderBytes };
}
