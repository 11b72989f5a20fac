import { createHash } from 'node:crypto';
import { inspect } from 'node:util';
import { SafetensorsError } from '../errors.ts';
import type { FileIdentity } from '../identity.ts';

/**
 * What tells one state of a model's files from another: device, inode, size and time of the last change of
 * each, as one text. No byte of their data has a part in it.
 */
export function versionOf(identities: readonly FileIdentity[]): string {
  const hash = createHash('sha256');
  for (const { device, inode, size, modifiedNs } of identities) {
    hash.update(`${device} ${inode} ${size} ${modifiedNs}\n`);
  }
  return hash.digest('base64url');
}

/** @throws {TypeError} unless it is `undefined` or a string */
export function checkVersion(version: unknown): asserts version is string | undefined {
  if (version === undefined || typeof version === 'string') return;
  throw new TypeError(`version: expected a string, found ${inspect(version, { depth: 0 })}`);
}

/** @throws {SafetensorsError} FILE_CHANGED unless both are the same */
export function assertVersion(found: string, wanted: string, path: string): void {
  if (found === wanted) return;
  const message = `the files are not those of version ${JSON.stringify(wanted)}, but of ${found}`;
  throw new SafetensorsError('FILE_CHANGED', message, { path });
}
