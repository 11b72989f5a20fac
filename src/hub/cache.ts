import { createHash, randomUUID } from 'node:crypto';
import {
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { SafetensorsError } from '../index.ts';
import type { RemoteFile } from './library.ts';

/** What is unfinished, and was not written to for so long, belongs to a process that is gone. */
const STALE_MS = 3_600_000;

/** What the contents of a file are to be, which names it in the cache. */
interface Contents {
  /** SHA-256 of a large file, Git's SHA-1 of a small one. */
  readonly digest: string;
  readonly byteLength: number;
  readonly isLarge: boolean;
}

/**
 * One commit of a repository in the cache that all libraries of Hugging Face share: `blobs/` has the
 * contents by their digests, `snapshots/<commit>/` links to them by the names of the files, and `refs/`
 * has the commits of branches and tags.
 */
export class CachedCommit {
  readonly #folder: string;
  readonly #commit: string;

  constructor(folder: string, commit: string) {
    this.#folder = folder;
    this.#commit = commit;
  }

  /** Where a file of the commit is, or will be. */
  pathOf(file: string): string {
    return join(this.#folder, 'snapshots', this.#commit, file);
  }

  /** Whether a file is there, whole: it gets its name only then. */
  async has(file: string): Promise<boolean> {
    return (await sizeOf(this.pathOf(file))) !== undefined;
  }

  byteLength(file: string): Promise<number | undefined> {
    return sizeOf(this.pathOf(file));
  }

  read(file: string): Promise<Buffer> {
    return readFile(this.pathOf(file));
  }

  /** Takes a file out of the commit. Its contents stay until others take their place, for those who read them. */
  async remove(file: string): Promise<void> {
    await rm(this.pathOf(file), { force: true });
  }

  /** Notes that a branch or a tag is at this commit; nothing is written where that is known already. */
  async setRevision(revision: string): Promise<void> {
    if (revision === this.#commit) return;
    // A cache that others share may be one that this process cannot write to.
    if ((await cachedRevision(this.#folder, revision)) === this.#commit) return;
    await this.#put(join(this.#folder, 'refs', revision), (path) => writeFile(path, this.#commit));
  }

  /**
   * Has a file in the cache, from the pieces that `download` gives where its contents are not there yet under
   * another name. A reader sees all of it or nothing, whatever ends this process.
   *
   * @returns Whether it was downloaded.
   * @throws {SafetensorsError} REMOTE_RESPONSE when the pieces are not the contents
   */
  async add(
    file: RemoteFile,
    download: () => AsyncIterable<Uint8Array> | Promise<AsyncIterable<Uint8Array>>,
  ): Promise<boolean> {
    const contents = contentsOf(file);
    const blob = join(this.#folder, 'blobs', contents.digest);
    const isThere = (await sizeOf(blob)) === contents.byteLength;
    if (!isThere) {
      await mkdir(dirname(blob), { recursive: true });
      await removeStale(blob);
      await writeBlob(blob, file.path, contents, await download());
    }
    const path = this.pathOf(file.path);
    // By another name first, since there may be a link to what is gone.
    await this.#put(path, (temporary) => symlink(relative(dirname(path), blob), temporary));
    return !isThere;
  }

  /** Puts what `make` makes at a path, in the place of what is there. */
  async #put(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    // Not beside it: what a killed process leaves in `refs/` is a branch to others, in `snapshots/` a file.
    const place = join(this.#folder, 'unnamed');
    await removeStale(place);
    const temporary = temporaryOf(place);
    try {
      await make(temporary);
      await rename(temporary, path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }
}

/** The commit that a branch or a tag was at when it was last asked for. */
export async function cachedRevision(
  folder: string,
  revision: string,
): Promise<string | undefined> {
  try {
    return (await readFile(join(folder, 'refs', revision), 'utf8')).trim();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function writeBlob(
  path: string,
  name: string,
  { digest, byteLength, isLarge }: Contents,
  pieces: AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = temporaryOf(path);
  const hash = createHash(isLarge ? 'sha256' : 'sha1');
  if (!isLarge) hash.update(`blob ${byteLength}\0`);
  let length = 0;
  try {
    const file = await open(temporary, 'wx');
    try {
      for await (const piece of pieces) {
        length += piece.length;
        // Whoever sends more may never end.
        if (length > byteLength)
          throw wrongContents(name, `expected ${byteLength} bytes, found more`);
        hash.update(piece);
        await file.writeFile(piece);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    const found = hash.digest('hex');
    if (length !== byteLength || found !== digest) {
      const message = `expected ${byteLength} bytes of digest ${digest}, found ${length} of ${found}`;
      throw wrongContents(name, message);
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function wrongContents(path: string, message: string): SafetensorsError {
  return new SafetensorsError('REMOTE_RESPONSE', message, { path });
}

/** A name of its own for what is to be at a path: other processes may be making the same. */
function temporaryOf(path: string): string {
  return `${path}.${randomUUID()}.incomplete`;
}

/** Removes what processes that were killed have left under names of {@link temporaryOf}. */
async function removeStale(unfinished: string): Promise<void> {
  const folder = dirname(unfinished);
  const [before, after] = [`${basename(unfinished)}.`, '.incomplete'];
  for (const name of await readdir(folder)) {
    const id = name.slice(before.length, -after.length);
    // Python, whose files have shorter names, resumes its own.
    if (name !== `${before}${id}${after}` || !/^[0-9a-f-]{36}$/.test(id)) continue;
    const path = join(folder, name);
    const age = Date.now() - ((await statOf(path, lstat))?.mtimeMs ?? Date.now());
    if (age > STALE_MS) await rm(path, { force: true });
  }
}

/** @throws {SafetensorsError} REMOTE_RESPONSE: the digest becomes the name of a file */
function contentsOf({ path, size, oid = '', lfs }: RemoteFile): Contents {
  const digest = lfs?.oid ?? oid;
  const byteLength = lfs?.size ?? size;
  if (
    (lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(digest) &&
    Number.isSafeInteger(byteLength)
  ) {
    return { digest, byteLength, isLarge: lfs !== undefined };
  }
  throw new SafetensorsError('REMOTE_RESPONSE', 'the hub has no digest or no size of it', { path });
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await statOf(path))?.size;
}

/** With `lstat`, of a link itself: that may lead nowhere. */
async function statOf(
  path: string,
  how: typeof stat | typeof lstat = stat,
): Promise<{ size: number; mtimeMs: number } | undefined> {
  try {
    return await how(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function isMissing(error: unknown): boolean {
  return /^(ENOENT|ENOTDIR|EISDIR)$/.test((error as NodeJS.ErrnoException).code ?? '');
}
