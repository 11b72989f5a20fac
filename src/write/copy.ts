import type { FileHandle } from 'node:fs/promises';
import { constants } from 'node:os';
import { unlessAborted } from '../abort.ts';
import { SafetensorsError, withPath } from '../errors.ts';
import { LENGTH_BYTES } from '../header/bytes.ts';
import { parseHeader } from '../header/parse.ts';
import { headerLength, PREAMBLE_BYTES } from '../header/preamble.ts';
import { native } from '../native.ts';
import { AtomicFile } from './atomic-file.ts';
import { scratchOf } from './metadata-item.ts';
import { type CheckedSaving, MAX_HEADER_BYTES } from './options.ts';

/**
 * Bytes of a file that are copied before an abort is noticed, and progress told: little beside a
 * second of any disk, and much beside what a call costs.
 */
const COPIED_BYTES = 64 * 2 ** 20;

/** A file and its header, as it was read and checked. */
export interface Read {
  readonly handle: FileHandle;
  /** As the caller named it. */
  readonly path: string;
  /** The same from the root. Links of it may lead elsewhere by now. */
  readonly fullPath: string;
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  readonly modifiedNs: bigint;
  /** Without its length, with its padding. */
  readonly header: Buffer;
}

/** Reads and checks the header, so that nothing but a safetensors file is ever written to. */
export async function readHeader(
  handle: FileHandle,
  { path, fullPath }: Pick<Read, 'path' | 'fullPath'>,
): Promise<Read> {
  const status = await handle.stat({ bigint: true });
  const { dev: device, ino: inode, size, mtimeNs: modifiedNs } = status;
  const byteLength = Number(size);
  const preamble = Buffer.alloc(Math.min(PREAMBLE_BYTES, byteLength));
  await readAll(handle, preamble, 0, path);
  const options = { maxHeaderBytes: MAX_HEADER_BYTES, path };
  const length = headerLength(preamble, byteLength, options);
  const header = Buffer.allocUnsafeSlow(length);
  await readAll(handle, header, LENGTH_BYTES, path);
  parseHeader(scratchOf(header), {
    dataLength: byteLength - LENGTH_BYTES - length,
    duplicates: 'reject',
    path,
  });
  return { handle, path, fullPath, device, inode, size, modifiedNs, header };
}

async function readAll(handle: FileHandle, target: Buffer, position: number, path: string) {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) throw changed(path);
    done += bytesRead;
  }
}

export async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** A file with another header and the same data as one that was read, to take its place. */
export class Copy {
  /** Resolves when neither file is in use any more: after an abort, that is later than the failure. */
  readonly settled: Promise<unknown>;
  readonly #file: AtomicFile;
  readonly #read: Read;
  readonly #writing: Promise<void>;
  readonly #signal: AbortSignal | undefined;

  private constructor(file: AtomicFile, read: Read, header: Buffer, saving: CheckedSaving) {
    this.#file = file;
    this.#read = read;
    this.#signal = saving.signal;
    this.#writing = writeCopy(file, read, header, saving);
    this.settled = this.#writing.catch(() => {});
  }

  /** Begins to write it. */
  static async begin(read: Read, header: Buffer, saving: CheckedSaving): Promise<Copy> {
    // Nothing is preallocated: the blocks of the data are those of the old file, where that can be.
    const { path, fullPath } = read;
    const file = await AtomicFile.create(path, { byteLength: 0, fsync: true, fullPath });
    return new Copy(file, read, header, saving);
  }

  /**
   * Puts it in the place of the file that was read, when it is whole; or, when that fails, removes it.
   *
   * @throws {SafetensorsError} FILE_CHANGED when that file is no longer what it was, or not there
   */
  async publish(): Promise<void> {
    const file = this.#file;
    const { device, inode, path } = this.#read;
    try {
      await unlessAborted(this.#writing, this.#signal);
      // Another file may have come to the path, which must not be lost.
      if (!(await file.replaces(device, inode))) throw changed(path);
      this.#signal?.throwIfAborted();
      await file.publish();
    } catch (error) {
      await file.remove();
      const closing = this.settled.then(() => file.discard());
      if (!this.#signal?.aborted) await closing;
      throw error;
    }
  }
}

async function writeCopy(
  file: AtomicFile,
  read: Read,
  header: Buffer,
  { signal, onProgress }: CheckedSaving,
): Promise<void> {
  const dataStart = LENGTH_BYTES + header.length;
  const totalBytes = Number(read.size) + header.length - read.header.length;
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(header.length));
  await withPath(read.path, () => writeAll(file.handle, Buffer.concat([length, header]), 0));
  for (const { from, to, byteLength } of copiedPieces(read, dataStart)) {
    signal?.throwIfAborted();
    await withPath(read.path, () =>
      native().copyRange(read.handle.fd, from, file.handle.fd, to, byteLength),
    ).catch((error) => {
      throw error.errno === -constants.errno.ENODATA ? changed(read.path) : error;
    });
    signal?.throwIfAborted();
    onProgress?.({ bytes: to + byteLength, totalBytes });
  }
  const now = await withPath(read.path, () => read.handle.stat({ bigint: true }));
  if (now.size !== read.size || now.mtimeNs !== read.modifiedNs) throw changed(read.path);
  signal?.throwIfAborted();
  await file.seal();
}

interface CopiedPiece {
  /** In the old file, and in the new one, where the data begins at `dataStart`. */
  readonly from: number;
  readonly to: number;
  readonly byteLength: number;
}

/** The data in pieces that end with blocks of the file: such can be shared. */
function* copiedPieces({ size, header }: Read, dataStart: number): Generator<CopiedPiece> {
  const begin = LENGTH_BYTES + header.length;
  for (let from = begin; from < Number(size); ) {
    const end = Math.min(Number(size), from - (from % COPIED_BYTES) + COPIED_BYTES);
    yield { from, to: from - begin + dataStart, byteLength: end - from };
    from = end;
  }
}

function changed(path: string): SafetensorsError {
  const message = 'the file changed while its metadata was updated';
  return new SafetensorsError('FILE_CHANGED', message, { path });
}
