import { isAbsolute, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

/**
 * A path as text.
 * @throws {TypeError} for anything but a string or a `file:` URL, and for a path with a NUL
 */
export function checkedPath(path: string | URL): string {
  if (typeof path !== 'string' && !isUrl(path)) {
    const found = inspect(path, { depth: 0 });
    throw new TypeError(`path: expected a string or a file: URL, found ${found}`);
  }
  const text = typeof path === 'string' ? path : fileURLToPath(path);
  if (text.includes('\0')) throw new TypeError('path: a path has no NUL');
  return text;
}

/** Not instanceof: those of other realms (vm contexts) are as good. */
function isUrl(value: unknown): value is URL {
  return typeof value === 'object' && value !== null && 'href' in value && 'protocol' in value;
}

/** "link/.." is above what the link leads to, not where the link is: only the file system knows. */
const HAS_PARENT = /(^|\/)\.\.(\/|$)/;

/** A path from the root. Not the empty one: it leads nowhere, and not to the working directory. */
export function fullPathOf(path: string): string {
  if (!HAS_PARENT.test(path)) return path && resolve(path);
  return isAbsolute(path) ? path : `${process.cwd()}/${path}`;
}

/** The path of a file in a folder. */
export function pathIn(folder: string, name: string): string {
  return HAS_PARENT.test(folder) ? `${folder}/${name}` : join(folder, name);
}
