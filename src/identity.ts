import { systemError } from './errors.ts';
import { type FileIdentity, type NativeFailure, native } from './native.ts';

export type { FileIdentity };

/** ENOENT and ENOTDIR. */
const NOT_THERE: readonly (number | undefined)[] = [-2, -20];

/** What became of a file since it was opened; `undefined` when nothing did. */
export function changeOf(fullPath: string, then: FileIdentity): string | undefined {
  let now: FileIdentity;
  try {
    now = native().look(fullPath);
  } catch (error) {
    const { errno, syscall, notAFile } = error as NativeFailure;
    if (notAFile !== undefined) return 'was replaced';
    if (NOT_THERE.includes(errno)) return 'was removed';
    throw errno === undefined ? error : systemError(errno, syscall, fullPath);
  }
  if (now.device !== then.device || now.inode !== then.inode) return 'was replaced';
  if (now.size !== then.size) return `went from ${then.size} to ${now.size} bytes`;
  if (now.modifiedNs !== then.modifiedNs) return 'was rewritten';
  return undefined;
}
