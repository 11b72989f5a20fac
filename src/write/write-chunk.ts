import type { FileHandle } from 'node:fs/promises';
import { constants } from 'node:os';
import { SafetensorsError, systemError, withPath } from '../errors.ts';
import { lostMessage } from '../paging/paging-error.ts';

import { assertThere, type Chunk, partAt, viewsOf } from './chunks.ts';
import { BLOCK_BYTES, type DirectFile, UnreadableMemory } from './direct-file.ts';
import { noteLost } from './source.ts';

/** A file that chunks are written to. */
export interface ChunkTarget {
  /** As the caller named it: what the system refuses is told with it. */
  readonly path: string;
  readonly handle: FileHandle;
  /** The same file, past the page cache, where that is wanted and works. */
  readonly direct: DirectFile | undefined;
}

/** Fewer bytes are written as usual: a disk is not asked for each little piece. */
const LEAST_DIRECT_BYTES = 2 ** 20;

/** Parts that one call of `writev` takes: IOV_MAX of Linux and macOS. */
const MOST_VIEWS = 1024;

/** Writes a chunk straight from where its bytes are. */
export async function writeChunk(target: ChunkTarget, chunk: Chunk): Promise<void> {
  const { position, byteLength } = chunk;
  const begin = -position & (BLOCK_BYTES - 1);
  const end = byteLength - ((position + byteLength) % BLOCK_BYTES);
  if (
    target.direct !== undefined &&
    end - begin >= LEAST_DIRECT_BYTES &&
    (await writeBlocks(target.path, target.direct, chunk, begin, end))
  ) {
    // What is less than a block goes through the page cache; nobody else writes to the pages of it.
    await writeBytes(target, chunk, 0, begin);
    await writeBytes(target, chunk, end, byteLength);
  } else {
    await writeBytes(target, chunk, 0, byteLength);
  }
}

async function writeBlocks(
  path: string,
  direct: DirectFile,
  chunk: Chunk,
  begin: number,
  end: number,
): Promise<boolean> {
  const views = await viewsOf(chunk, begin, end);
  assertThere(views, chunk, end - begin);
  try {
    return await withPath(path, () => direct.write(views, chunk.position + begin));
  } catch (error) {
    if (!(error instanceof UnreadableMemory)) throw error;
    throw lostMemory(error.cause, chunk, begin + error.at, byteAt(views, error.at));
  }
}

async function writeBytes(
  { path, handle }: ChunkTarget,
  chunk: Chunk,
  begin: number,
  end: number,
): Promise<void> {
  for (let done = begin; done < end; ) {
    const views = await viewsOf(chunk, done, end);
    assertThere(views, chunk, end - done);
    const position = chunk.position + done;
    const write = views.length === 1 ? writeOne : writeMany;
    const written = await withPath(path, () => write(handle, views, position)).catch((error) => {
      const isLost = (error as NodeJS.ErrnoException).code === 'EFAULT';
      throw isLost ? lostMemory(error, chunk, done, views[0]) : error;
    });
    if (written === 0) throw systemError(-constants.errno.EIO, 'write', path);
    done += written;
  }
}

async function writeOne(handle: FileHandle, [view]: Uint8Array[], position: number) {
  const { bytesWritten } = await handle.write(view, 0, view.length, position);
  return bytesWritten;
}

async function writeMany(handle: FileHandle, views: Uint8Array[], position: number) {
  const { bytesWritten } = await handle.writev(views.slice(0, MOST_VIEWS), position);
  return bytesWritten;
}

/** What begins with byte `at` of views that follow each other; nothing of one that is empty by now. */
function byteAt(views: readonly Uint8Array[], at: number): Uint8Array {
  let left = at;
  for (const view of views) {
    if (left < view.length) return view.subarray(left);
    left -= view.length;
  }
  return new Uint8Array(0);
}

/**
 * The kernel could not read byte `at` of a chunk, with which `memory` begins: a page of a mapped file that
 * the file no longer has, or memory of the caller's that is gone.
 */
function lostMemory(cause: unknown, chunk: Chunk, at: number, memory: Uint8Array): Error {
  const lost = noteLost(memory);
  const { part, at: inPart } = partAt(chunk, at);
  const { source, begin, tensor } = part;
  if (source.storage === undefined) {
    try {
      source.bytes(0, source.byteLength);
    } catch (gone) {
      if (gone instanceof Error) return gone;
    }
    // It is there, and cannot be read: `data` of a mapped tensor.
  }
  const { path, offset = lost } = source.fileAt(begin + inPart) ?? {};
  return new SafetensorsError('FILE_CHANGED', lostMessage(offset), { path, tensor, cause });
}
