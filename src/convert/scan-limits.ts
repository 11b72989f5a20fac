import { SafetensorsError } from '../index.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import { MOST_PICKLE_BYTES } from './pickle/limits.ts';

/** The code of what has more than may be looked at. */
export const LIMIT = 'ERR_SAFETENSORS_CHECKPOINT_LIMIT';

/** Looked through for headers of records; pickles come first in what PyTorch writes. */
export const MOST_SEARCHED_BYTES = 64 * 2 ** 20;

/** Said of files of more than that. */
export const SEARCHED_IN_PART = `only its first ${MOST_SEARCHED_BYTES} bytes were searched for records`;

/** What all records of a file together may have, read or inflated: headers may lead to the same bytes. */
export const MOST_BYTES_OF_RECORDS = 4 * MOST_PICKLE_BYTES;

export function limitOf(
  { path }: Pick<ByteReader, 'path'>,
  message = 'its records have more than may be looked at',
): SafetensorsError {
  return new SafetensorsError('CHECKPOINT_LIMIT', message, { path });
}
