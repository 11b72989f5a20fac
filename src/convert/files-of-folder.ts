import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fullPathOf, pathIn } from '../path.ts';
import { kindOf } from './kind-of-path.ts';

/** A file, by its path within the folder; or what cannot be looked at, and why. */
export interface FoundFile {
  readonly name: string;
  readonly error?: unknown;
}

/**
 * The regular files of a folder and of those within. Symbolic links are followed to files, but not to folders, which
 * may be those that they are in.
 *
 * @throws {Error} of Node's own shape where the folder itself cannot be read
 */
export async function* filesOfFolder(
  folder: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<FoundFile> {
  const waiting = [''];
  for (let within = waiting.pop(); within !== undefined; within = waiting.pop()) {
    signal?.throwIfAborted();
    let entries: Awaited<ReturnType<typeof entriesOf>>;
    try {
      const path = within === '' ? folder : pathIn(folder, within);
      entries = await entriesOf(path);
    } catch (error) {
      if (within === '') throw error;
      yield { name: within, error };
      continue;
    }
    const folders: string[] = [];
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      signal?.throwIfAborted();
      const name = join(within, entry.name);
      if (entry.isDirectory()) folders.push(name);
      else if (entry.isFile()) yield { name };
      else if (entry.isSymbolicLink()) {
        try {
          if ((await kindOf(pathIn(folder, name))).isFile()) yield { name };
        } catch (error) {
          yield { name, error };
        }
      }
    }
    waiting.push(...folders.reverse());
  }
}

function entriesOf(path: string) {
  return readdir(fullPathOf(path), { withFileTypes: true });
}
