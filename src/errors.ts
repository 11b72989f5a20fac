import { getSystemErrorMap } from 'node:util';
import { escapeText } from './escape.ts';

/**
 * Every code of a {@link SafetensorsError}, without its prefix `ERR_SAFETENSORS_`, and what it
 * means.
 */
export const ERROR_MEANINGS = {
  HEADER_TOO_SMALL: 'the file has fewer than the 8 bytes of the header length',
  HEADER_TOO_LARGE: 'the header is longer than `maxHeaderBytes`',
  HEADER_LENGTH: 'the header length runs past the end of the file',
  HEADER_UTF8: 'the header is not strict UTF-8',
  HEADER_JSON:
    'the header is not the JSON the format allows: syntax, a wrong type, a missing field',
  UNKNOWN_DTYPE: 'a dtype outside the format',
  DUPLICATE_KEY: 'a name, a metadata key or a field appears twice',
  OVERFLOW: 'a size or an offset over 2^53 − 1',
  INVALID_OFFSET: 'a gap, an overlap or a reversed range in the data, or a first tensor not at 0',
  SIZE_MISMATCH: 'shape × dtype is not the number of bytes between the offsets',
  SUBBYTE_SIZE: 'a tensor of a dtype under 8 bits that does not fill whole bytes',
  TRUNCATED: 'the file is shorter than its header says',
  TRAILING_BYTES: 'the file is longer than its header says',
  NOT_SAFETENSORS: 'another kind of file; the message names which, and what to do',
  TENSOR_NOT_FOUND: 'no tensor of that name; the message gives the nearest names',
  CLOSED: 'the container has been closed, or the writer finished or discarded',
  FILE_CHANGED:
    'the file was replaced, removed, resized or rewritten since it was opened, or has lost pages',
  MEMORY_LIMIT: 'what is to be read does not fit into the memory that is available',
  SLICE_RANGE: 'a slice that the tensor or its dtype does not have',
  UNSUPPORTED_DTYPE: 'an operation that does not exist for this dtype',
  SHARD_PATH:
    'a shard name that leads out of the model’s folder, or is not that of a .safetensors file',
  SHARD_MISSING: 'a shard of the index is not there, or no model in the folder, or more than one',
  INDEX_MISMATCH: 'the index has a tensor in a shard that does not have it',
  REMOTE_RESPONSE: 'a server answered with anything but the bytes that it was asked for',
  NOT_A_CHECKPOINT: 'a file to be converted that is no checkpoint of a known kind',
  MALFORMED_CHECKPOINT:
    'a checkpoint whose structure has an error, or more than one reading: its zip file, its pickle, a tensor',
  CHECKPOINT_LIMIT: 'a checkpoint that would take more memory, time or disk than any real one does',
  UNSAFE_PICKLE:
    'a checkpoint that names, or would have Python call, what is not on the list of what tensors are made of',
  UNSUPPORTED_TENSOR:
    'a tensor that safetensors cannot hold: quantised, sparse, nested, without data, or of another dtype',
  SHARED_TENSORS: 'tensors that share memory, of which none covers all of it',
  NO_TENSORS: 'a checkpoint without tensors where they are looked for',
  CONVERSION_MISMATCH: 'what was written is not what was to be written',
} as const;

export type ErrorName = keyof typeof ERROR_MEANINGS;
export type SafetensorsErrorCode = `ERR_SAFETENSORS_${ErrorName}`;

export interface ErrorPlace {
  /** The file, as the caller named it. */
  path?: string | undefined;
  /** The tensor that is meant. */
  tensor?: string | undefined;
  cause?: unknown;
}

/**
 * A file that is not a valid safetensors file, or a container that cannot do what it is asked to.
 *
 * File-system failures are not of this class: they keep Node's own shape (`code: 'ENOENT'`,
 * `errno`, `syscall`, `path`). Misuse by the caller is a `TypeError` or a `RangeError`.
 */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';
  readonly code: SafetensorsErrorCode;
  readonly path: string | undefined;
  readonly tensor: string | undefined;

  constructor(code: ErrorName, message: string, { path, tensor, cause }: ErrorPlace = {}) {
    super(
      path === undefined ? message : `${escapeText(path)}: ${message}`,
      cause === undefined ? undefined : { cause },
    );
    this.code = `ERR_SAFETENSORS_${code}`;
    this.path = path;
    this.tensor = tensor;
  }
}

/** A failed system call as `node:fs` would report it. `errno` is negative. */
export function systemError(errno: number, syscall: string, path: string): NodeJS.ErrnoException {
  const [code, message] = getSystemErrorMap().get(errno) ?? [`errno ${errno}`, 'unknown error'];
  return Object.assign(new Error(`${code}: ${message}, ${syscall} '${path}'`), {
    errno,
    code,
    syscall,
    path,
  });
}

/** Runs `action`, and gives failures of the file system Node's shape with `path`. */
export async function withPath<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw isSystemFailure(error) ? systemError(error.errno, error.syscall, path) : error;
  }
}

function isSystemFailure(error: unknown): error is { errno: number; syscall: string } {
  return (
    error instanceof Error &&
    'errno' in error &&
    typeof error.errno === 'number' &&
    'syscall' in error &&
    typeof error.syscall === 'string'
  );
}
