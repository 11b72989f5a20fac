import type { Stats } from 'node:fs';
import { lstat, readlink, realpath } from 'node:fs/promises';
import { constants } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { SafetensorsError, systemError } from '../errors.ts';
import { fullPathOf } from '../path.ts';

/** Symbolic links that are followed before the path is taken for a circle, as Linux does. */
const MAX_LINKS = 40;

/** Bits that say who may read, write and execute. */
const PERMISSION_BITS = 0o777;

/** Where a file is to be, with all symbolic links followed. */
export interface Target {
  readonly folder: string;
  /** The file in that folder. */
  readonly path: string;
  /** Permission bits of the file that is there; `undefined` when there is none. */
  readonly mode: number | undefined;
}

export interface TargetOptions {
  /** The path from the root, where `path` is only how the caller named it. */
  fullPath?: string | undefined;
  /** Whether the last component may be a link that is followed; one that leads there always is. */
  followsLink?: boolean;
}

/**
 * Follows a path to the file that is to be made or replaced: also symbolic links that lead to
 * nothing yet.
 *
 * @throws {Error} of Node's own shape: EISDIR for a folder and for a path that ends as one of a folder,
 *   ENOTDIR for such a path of a file, ELOOP, ENOENT for a folder that is not there
 * @throws {SafetensorsError} NOT_SAFETENSORS for a FIFO, a socket or a device
 */
export async function resolveTarget(
  path: string,
  { fullPath, followsLink = true }: TargetOptions = {},
): Promise<Target> {
  // As when it is opened: from the working directory of now. The empty path leads nowhere.
  if (path === '') throw openError('ENOENT', path);
  // The last component is taken without its end, which would save to a file that was not named.
  const isFolderPath = path.endsWith('/');
  let next = fullPath ?? fullPathOf(path);
  for (let links = 0; links <= MAX_LINKS; links++) {
    const folder = await realpath(dirname(next));
    const file = join(folder, basename(next));
    const info = await statusOf(file);
    if (info === undefined) {
      if (isFolderPath) throw openError('EISDIR', path);
      return { folder, path: file, mode: undefined };
    }
    if (info.isSymbolicLink() && !followsLink) return { folder, path: file, mode: undefined };
    if (!info.isSymbolicLink()) {
      if (info.isDirectory()) throw openError('EISDIR', path);
      if (isFolderPath) throw openError('ENOTDIR', path);
      if (!info.isFile()) throw notAFile(info, path);
      return { folder, path: file, mode: info.mode & PERMISSION_BITS };
    }
    const link = await readlink(file);
    // Not `join`, which would take "link/.." for nothing: only the file system knows what it is.
    next = isAbsolute(link) ? link : `${folder}/${link}`;
  }
  throw openError('ELOOP', path);
}

async function statusOf(file: string): Promise<Stats | undefined> {
  try {
    return await lstat(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function openError(
  code: 'EISDIR' | 'ENOTDIR' | 'ELOOP' | 'ENOENT',
  path: string,
): NodeJS.ErrnoException {
  return systemError(-constants.errno[code], 'open', path);
}

function notAFile(info: Stats, path: string): SafetensorsError {
  let kind = 'a device';
  if (info.isFIFO()) kind = 'a FIFO';
  else if (info.isSocket()) kind = 'a socket';
  const message = `this is ${kind}, not a regular file: save to a file of its own`;
  return new SafetensorsError('NOT_SAFETENSORS', message, { path });
}
