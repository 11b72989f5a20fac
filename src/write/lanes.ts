import type { FileHandle } from 'node:fs/promises';
import { constants } from 'node:os';
import { SafetensorsError, systemError } from '../errors.ts';
import { lostMessage } from '../paging/paging-error.ts';
import { type Chunk, partAt, viewsOf } from './chunks.ts';
import { noteLost } from './source.ts';

/** Writes under way at once: as many as libuv has threads, unless it is told otherwise. */
export const LANES = 4;

export interface LaneOptions {
  /** Called with the bytes of each chunk that has been written. */
  onWritten: (bytes: number) => void;
  /** Looked at before each chunk; what is being written then goes on to its end. */
  stopped: () => boolean;
}

/** Writes to one file from several threads at once. */
export class Lanes {
  readonly #handle: FileHandle;
  readonly #options: LaneOptions;
  #free = LANES;
  readonly #waiting: (() => void)[] = [];

  constructor(handle: FileHandle, options: LaneOptions) {
    this.#handle = handle;
    this.#options = options;
  }

  /**
   * Writes chunks, in no particular order. Resolves, or rejects with the first failure, when none of
   * them is being written any more: their memory is the caller's again. Stopped, it resolves early.
   */
  async write(chunks: Iterator<Chunk, void, undefined>): Promise<void> {
    const { stopped, onWritten } = this.#options;
    let failed = false;
    const lane = async () => {
      try {
        while (!failed && !stopped()) {
          const { done, value: chunk } = chunks.next();
          if (done) return;
          await this.#inTurn(() => writeChunk(this.#handle, chunk));
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

  /** Runs `write` when fewer than {@link LANES} others are running. */
  async #inTurn(write: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      // Its turn may come long after it was asked for.
      if (!this.#options.stopped()) await write();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}

/** Writes a chunk straight from where its bytes are. */
async function writeChunk(handle: FileHandle, chunk: Chunk): Promise<void> {
  for (let done = 0; done < chunk.byteLength; ) {
    const views = await viewsOf(chunk, done);
    const position = chunk.position + done;
    const write = views.length === 1 ? writeOne : writeMany;
    const written = await write(handle, views, position).catch((error) => {
      const lost = lostMemory(error, chunk, done);
      if (lost) noteLost(views[0]);
      throw lost ?? error;
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

/**
 * The kernel could not read the memory: a page of a mapped file that the file no longer has, or memory
 * of the caller's that is gone.
 */
function lostMemory(error: unknown, chunk: Chunk, done: number): Error | undefined {
  if ((error as NodeJS.ErrnoException).code !== 'EFAULT') return undefined;
  const { part, at } = partAt(chunk, done);
  const { source, begin, tensor } = part;
  if (source.storage === undefined) {
    try {
      source.bytes(0, source.byteLength);
    } catch (cause) {
      if (cause instanceof Error) return cause;
    }
    // It is there, and cannot be read: `data` of a mapped tensor.
  }
  const { path, offset } = source.fileAt(begin + at) ?? {};
  return new SafetensorsError('FILE_CHANGED', lostMessage(offset), { path, tensor, cause: error });
}
