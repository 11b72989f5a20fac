import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * A path as text.
 * @throws {TypeError} for anything but a string or a `file:` URL, and for a path with a NUL
 */
export function checkedPath(path: string | URL): string {
  if (typeof path !== 'string' && !isUrl(path)) {
    throw new TypeError('path: expected a string or a file: URL');
  }
  const text = typeof path === 'string' ? path : fileURLToPath(path);
  if (text.includes('\0')) throw new TypeError('path: a path has no NUL');
  return text;
}

/** Not instanceof: those of other realms (vm contexts) are as good. */
function isUrl(value: unknown): value is URL {
  return typeof value === 'object' && value !== null && 'href' in value && 'protocol' in value;
}

/** A path from the root. Not the empty one: it leads nowhere, and not to the working directory. */
export function fullPathOf(path: string): string {
  return path && resolve(path);
}
