import type { FileHandle } from 'node:fs/promises';
import { constants } from 'node:os';
import { SafetensorsError, systemError } from '../errors.ts';
import { type Chunk, partAt, viewsOf } from './chunks.ts';

/** Writes under way at once: as many as libuv has threads, unless it is told otherwise. */
export const LANES = 4;

export interface LaneOptions {
  /** Called with the bytes of each chunk that has been written. */
  onWritten: (bytes: number) => void;
  /** Looked at before each chunk; what is being written then goes on to its end. */
  stopped: () => boolean;
}

/**
 * Writes chunks, several at once. Resolves, or rejects with the first failure, when no write is
 * under way any more: the memory of the chunks is the caller's again.
 */
export async function writeChunks(
  handle: FileHandle,
  chunks: Iterator<Chunk, void, undefined>,
  { onWritten, stopped }: LaneOptions,
): Promise<void> {
  let failed = false;
  const lane = async () => {
    try {
      while (!failed && !stopped()) {
        const { done, value: chunk } = chunks.next();
        if (done) return;
        await writeChunk(handle, chunk);
        if (!failed && !stopped()) onWritten(chunk.byteLength);
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: LANES }, lane));
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure) throw failure.reason;
}

/** Writes a chunk straight from where its bytes are. */
async function writeChunk(handle: FileHandle, chunk: Chunk): Promise<void> {
  for (let done = 0; done < chunk.byteLength; ) {
    const views = viewsOf(chunk, done);
    const position = chunk.position + done;
    const write = views.length === 1 ? writeOne : writeMany;
    const written = await write(handle, views, position).catch((error) => {
      throw lostPage(error, chunk, done) ?? error;
    });
    if (written === 0) throw systemError(-constants.errno.EIO, 'write', '');
    done += written;
  }
}

async function writeOne(handle: FileHandle, [view]: Uint8Array[], position: number) {
  const { bytesWritten } = await handle.write(view, 0, view.length, position);
  return bytesWritten;
}

async function writeMany(handle: FileHandle, views: Uint8Array[], position: number) {
  const { bytesWritten } = await handle.writev(views, position);
  return bytesWritten;
}

/** The kernel could not read the memory: a page of a mapped file that the file no longer has. */
function lostPage(error: unknown, chunk: Chunk, done: number): SafetensorsError | undefined {
  if ((error as NodeJS.ErrnoException).code !== 'EFAULT') return undefined;
  const { source, tensor } = partAt(chunk, done);
  const message =
    'the file that the tensor is mapped from became shorter since it was opened, or cannot be read';
  return new SafetensorsError('FILE_CHANGED', message, { path: source.path, tensor, cause: error });
}
