import type { ErrorName } from '../errors.ts';
import { SafetensorsError } from '../index.ts';
import { PickleFault } from './pickle/reader.ts';

/** A checkpoint that is refused, for a reason of its structure. */
export function malformed(path: string, message: string): SafetensorsError {
  return new SafetensorsError('MALFORMED_CHECKPOINT', message, { path });
}

/** The fault of a pickle as the error that callers see; any other error as it is. */
export function pickleError(error: unknown, path: string): unknown {
  if (!(error instanceof PickleFault)) return error;
  const code: ErrorName = error.kind === 'limit' ? 'CHECKPOINT_LIMIT' : 'MALFORMED_CHECKPOINT';
  return new SafetensorsError(code, error.message, { path, cause: error });
}
