import { SafetensorsError, systemError } from './errors.ts';
import type { NativeFailure } from './native.ts';
import type { Storage } from './storage.ts';

/** In terms of what an error is to be told. */
type Place = Pick<Storage, 'path' | 'table' | 'dataStart'>;

/** EFAULT: what the system says of pages that the file no longer has, or cannot be read. */
const LOST_PAGES = -14;

/**
 * A failure of reading pages as the caller is to see it: FILE_CHANGED when they are lost. Any other
 * error as it is.
 *
 * @param at A byte of the mapping that was to be read, where the failure itself names none.
 */
export function pagingError(
  { path, table, dataStart }: Place,
  error: unknown,
  at?: number,
): unknown {
  const { errno, syscall, offset } = error as NativeFailure & { offset?: number };
  if (errno === undefined || (error as NodeJS.ErrnoException).code !== undefined) return error;
  if (errno !== LOST_PAGES) return systemError(errno, syscall, path ?? '');
  const where = offset === undefined ? '' : `, at byte ${offset}`;
  const message = `the file became shorter since it was opened, or cannot be read${where}`;
  const position = offset ?? at;
  const entry = position === undefined ? -1 : table.atPosition(position - dataStart);
  const tensor = entry < 0 ? undefined : table.name(entry);
  return new SafetensorsError('FILE_CHANGED', message, { path, tensor, cause: error });
}
