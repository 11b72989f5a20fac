import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { withPath } from '../errors.ts';
import { native } from '../native.ts';
import { DirectFile } from './direct-file.ts';
import { resolveTarget, type Target } from './target.ts';

/** What `open` gives a new file, before the umask. */
const NEW_FILE_MODE = 0o666;

/** From so many bytes on a file that is to be on the disk is written past the page cache. */
const LEAST_DIRECT_BYTES = 16 * 2 ** 20;

/** What some file systems say that cannot fsync a folder. */
const NO_FOLDER_SYNC = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

export interface AtomicFileOptions {
  /** Bytes that the file will have: reserved on the disk where the file system can. */
  byteLength: number;
  /** Whether its bytes, and later its name, are to be on the disk. */
  fsync: boolean;
  /** Whether the caller sees to the name, with {@link syncFolder}: no descriptor is kept for it. */
  leavesFolder?: boolean;
  /** The path from the root; by default as seen from the working directory of now. */
  fullPath?: string;
  /** Whether a symbolic link at the path is itself replaced, and not what it leads to. */
  replacesLink?: boolean;
}

/**
 * A file under a name of its own beside the path that it is for, until it is whole: then it takes the
 * place of whatever is there, in one step. In this order: {@link create}, writing to `handle`,
 * {@link seal}, {@link publish}; {@link discard} instead of any of them.
 *
 * Errors of all of them have Node's shape, with the path that the caller named; the one of a file that is
 * published, and of whose name it is not known whether it is on the disk, has that of its folder.
 */
export class AtomicFile {
  /** As the caller named it. */
  readonly path: string;
  /** Open for writing, until the file is sealed. */
  readonly handle: FileHandle;
  #direct: DirectFile | undefined;
  readonly #target: Target;
  readonly #temporary: string;
  /** Open for fsync; opened beforehand, so that nothing can fail any more but the fsync itself. */
  readonly #folder: FileHandle | undefined;
  readonly #fsync: boolean;
  #published = false;
  /** Set when the temporary name is gone, or going. */
  #removed: Promise<void> | undefined;

  private constructor(
    path: string,
    parts: {
      target: Target;
      temporary: string;
      handle: FileHandle;
      folder?: FileHandle;
    },
    fsync: boolean,
  ) {
    this.path = path;
    this.handle = parts.handle;
    this.#target = parts.target;
    this.#temporary = parts.temporary;
    this.#folder = parts.folder;
    this.#fsync = fsync;
  }

  /**
   * Makes the file, empty but with its blocks reserved. It will have the permissions of the file that
   * it replaces, or those that the umask gives.
   *
   * @throws {Error} of Node's own shape; nothing is left behind
   * @throws {SafetensorsError} NOT_SAFETENSORS when the path leads to a FIFO, a socket or a device
   */
  static async create(path: string, options: AtomicFileOptions): Promise<AtomicFile> {
    const { byteLength, fsync, leavesFolder = false, fullPath, replacesLink = false } = options;
    return withPath(path, async () => {
      const target = await resolveTarget(path, { fullPath, followsLink: !replacesLink });
      const folder = fsync && !leavesFolder ? { folder: await open(target.folder, 'r') } : {};
      // Not named after the file, whose name may be as long as a name can be.
      const random = randomBytes(8).toString('hex');
      const temporary = join(target.folder, `.safetensors-mmap-${random}.tmp`);
      let handle: FileHandle;
      try {
        handle = await open(temporary, 'wx+', target.mode ?? NEW_FILE_MODE);
      } catch (error) {
        await folder.folder?.close();
        throw error;
      }
      const file = new AtomicFile(path, { target, temporary, handle, ...folder }, fsync);
      try {
        if (fsync && byteLength >= LEAST_DIRECT_BYTES) {
          file.#direct = DirectFile.open(temporary, handle);
        }
        // The umask may have taken bits that the replaced file has.
        if (target.mode !== undefined) await handle.chmod(target.mode);
        await native().preallocate(handle.fd, byteLength);
        return file;
      } catch (error) {
        await file.discard();
        throw error;
      }
    });
  }

  /** The same as `handle`, past the page cache: of large files that are to be on the disk, where that works. */
  get direct(): DirectFile | undefined {
    return this.#direct;
  }

  /** The file is whole: puts it on the disk if that is wanted, and closes it. */
  async seal(): Promise<void> {
    await withPath(this.path, async () => {
      this.#direct?.close();
      if (this.#fsync) await this.handle.sync();
      await this.handle.close();
    });
  }

  /** Whether it is this file that {@link publish} would replace now. */
  async replaces(device: bigint, inode: bigint): Promise<boolean> {
    const there = await lstat(this.#target.path, { bigint: true }).catch(() => undefined);
    return there?.dev === device && there.ino === inode;
  }

  /** Where the file is until it is published. */
  get temporary(): string {
    return this.#temporary;
  }

  /** Gives the sealed file its name, in the place of whatever has it. */
  async publish(): Promise<void> {
    await withPath(this.path, async () => {
      await rename(this.#temporary, this.#target.path);
      this.#published = true;
      this.#removed = Promise.resolve();
    });
    const folder = this.#folder;
    if (folder) await withPath(dirname(this.path), () => syncAndClose(folder));
  }

  /** Whether it has its name, on the disk or not. */
  get isPublished(): boolean {
    return this.#published;
  }

  /** The folder that the file is in when it is published, with all symbolic links followed. */
  get folder(): string {
    return this.#target.folder;
  }

  /** Removes the file and closes it; does nothing to a published one, but closing. Never fails. */
  async discard(): Promise<void> {
    await this.remove();
    this.#direct?.close();
    await this.handle.close().catch(() => {});
  }

  /**
   * The first half of {@link discard}: the name goes at once. Closing has to wait for what is still
   * being written on other threads, which may be long when that is an fsync.
   */
  async remove(): Promise<void> {
    this.#removed ??= rm(this.#temporary, { force: true }).catch(() => {});
    await this.#removed;
    await this.#folder?.close().catch(() => {});
  }
}

/** Puts the names of a folder's files on the disk. */
export async function syncFolder(folder: string): Promise<void> {
  await syncAndClose(await open(folder, 'r'));
}

async function syncAndClose(folder: FileHandle): Promise<void> {
  try {
    await folder.sync();
  } catch (error) {
    if (!NO_FOLDER_SYNC.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await folder.close();
  }
}
