import { type ErrorName, SafetensorsError, systemError } from '../errors.ts';
import { escapeText } from '../escape.ts';

/** A path from the root, and as the caller named it. */
export interface GivenPath {
  readonly full: string;
  readonly given: string;
}

/**
 * Runs what uses paths from the root, since the process may be elsewhere before it ends. Its errors name
 * files as the caller did, as all others do.
 */
export async function withGivenPaths<T>(
  paths: readonly GivenPath[],
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asGiven(error, paths);
  }
}

function asGiven(error: unknown, paths: readonly GivenPath[]): unknown {
  if (!(error instanceof Error) || !('path' in error) || typeof error.path !== 'string') {
    return error;
  }
  const path = givenPath(error.path, paths);
  if (path === error.path) return error;
  if (error instanceof SafetensorsError) {
    const name = error.code.replace(/^ERR_SAFETENSORS_/, '') as ErrorName;
    const message = error.message.replace(`${escapeText(error.path)}: `, '');
    return new SafetensorsError(name, message, { path, tensor: error.tensor, cause: error.cause });
  }
  const { errno, syscall } = error as NodeJS.ErrnoException;
  if (errno === undefined || syscall === undefined) return error;
  return systemError(errno, syscall, path);
}

function givenPath(path: string, paths: readonly GivenPath[]): string {
  for (const { full, given } of paths) {
    if (path === full) return given;
    const folder = full.replace(/\/*$/, '/');
    if (path.startsWith(folder)) return given.replace(/\/*$/, '/') + path.slice(folder.length);
  }
  return path;
}
