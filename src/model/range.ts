import { SafetensorsError } from '../errors.ts';
import { MAX_SIZE } from '../layout.ts';
import { native } from '../native.ts';
import { openingError } from '../opening.ts';

/** A shard, and where it is to be in the range. */
export interface PlannedShard {
  readonly path: string;
  /** From the root. */
  readonly fullPath: string;
  readonly byteLength: number;
  /** A multiple of the page. */
  readonly base: number;
}

export interface PlannedRange {
  readonly byteLength: number;
  readonly shards: readonly PlannedShard[];
  /** Whether one of them is where mapping is risky. */
  readonly risky: boolean;
}

/**
 * Places the shards of a model one behind the other. Each begins on the page behind the one before, so
 * that there is no page between them that no file is mapped to.
 *
 * @throws {SafetensorsError} SHARD_MISSING, OVERFLOW, NOT_SAFETENSORS for a pipe or a device
 */
export async function planRange(
  files: readonly Pick<PlannedShard, 'path' | 'fullPath'>[],
  path: string,
): Promise<PlannedRange> {
  const { fileSizes, pageBytes } = native();
  const { sizes, risky, failure } = await fileSizes(files.map(({ fullPath }) => fullPath));
  if (failure !== undefined) throw shardError(failure, files[sizes.length].path);
  let byteLength = 0;
  const shards = files.map(({ path, fullPath }, i) => {
    const base = byteLength;
    byteLength += Math.ceil(sizes[i] / pageBytes) * pageBytes;
    return { path, fullPath, byteLength: sizes[i], base };
  });
  if (byteLength > MAX_SIZE) {
    throw new SafetensorsError('OVERFLOW', 'the shards have over 2^53 − 1 bytes', { path });
  }
  return { byteLength, shards, risky };
}

/** Whether files could not be mapped that can be read all the same. */
export function isMapRefusal(error: unknown): boolean {
  const { syscall, code } = error as NodeJS.ErrnoException;
  return syscall === 'mmap' && (code === 'ENODEV' || code === 'ENOMEM');
}

/** The error of a shard that cannot be opened: SHARD_MISSING when it is not there. */
export function shardError(error: unknown, path: string): unknown {
  const cause = openingError(error, path);
  if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) return cause;
  const message = 'the shard is not there, and the index names it';
  return new SafetensorsError('SHARD_MISSING', message, { path, cause });
}
