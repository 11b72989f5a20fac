import { SafetensorsError, systemError } from '../errors.ts';
import type { HeaderTable } from '../header/table.ts';
import type { NativeFailure } from '../native.ts';
import type { FilePlace } from '../storage/storage.ts';

/** The tensors of which bytes are, for errors. */
export interface DataPlace {
  readonly table: HeaderTable;
  /** Where the data begins, as positions count. */
  readonly dataStart: number;
  readonly path: string | undefined;
  /** Where a position is, when there may be several files. */
  fileAt?(position: number): FilePlace;
}

/** EFAULT: what the system says of pages that the file no longer has, or cannot be read. */
export const LOST_PAGES = -14;

/** What FILE_CHANGED says of them; `offset` in bytes of the file, where it is known. */
export function lostMessage(offset?: number): string {
  const where = offset === undefined ? '' : `, at byte ${offset}`;
  return `the file became shorter since it was opened, or cannot be read${where}`;
}

/**
 * A failure of reading pages as the caller is to see it: FILE_CHANGED when they are lost. Any other
 * error as it is.
 *
 * @param at A byte of the mapping that was to be read, where the failure itself names none.
 */
export function pagingError(place: DataPlace, error: unknown, at?: number): unknown {
  const { errno, syscall, offset } = error as NativeFailure;
  if (errno === undefined || (error as NodeJS.ErrnoException).code !== undefined) return error;
  if (errno !== LOST_PAGES) return systemError(errno, syscall, place.path ?? '');
  if (offset !== undefined) return lostPages(place, offset, error);
  const { path, tensor } = at === undefined ? { path: place.path } : whereIs(place, at);
  return new SafetensorsError('FILE_CHANGED', lostMessage(), { path, tensor, cause: error });
}

/** FILE_CHANGED of a byte of the mapping that is lost, with the file and the place in it. */
export function lostPages(place: DataPlace, position: number, cause?: unknown): SafetensorsError {
  const { path, offset, tensor } = whereIs(place, position);
  return new SafetensorsError('FILE_CHANGED', lostMessage(offset), { path, tensor, cause });
}

function whereIs(place: DataPlace, position: number): FilePlace & { tensor?: string | undefined } {
  const { table, dataStart, path } = place;
  const file = place.fileAt?.(position) ?? { path, offset: position };
  const entry = table.atPosition(position - dataStart);
  return { ...file, tensor: entry < 0 ? undefined : table.name(entry) };
}
