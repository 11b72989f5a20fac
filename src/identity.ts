import { statSync } from 'node:fs';
import type { OpenedFile } from './native.ts';

/** What tells one state of one file from another. */
export type FileIdentity = Pick<OpenedFile, 'device' | 'inode' | 'size' | 'modifiedNs'>;

/** What became of a file since it was opened; `undefined` when nothing did. */
export function changeOf(fullPath: string, then: FileIdentity): string | undefined {
  const now = statSync(fullPath, { bigint: true, throwIfNoEntry: false });
  if (now === undefined) return 'was removed';
  if (now.dev !== then.device || now.ino !== then.inode) return 'was replaced';
  if (now.size !== BigInt(then.size)) return `went from ${then.size} to ${now.size} bytes`;
  if (now.mtimeNs !== then.modifiedNs) return 'was rewritten';
  return undefined;
}
