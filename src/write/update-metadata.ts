import { type FileHandle, open, stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { inspect } from 'node:util';
import { checkObject } from '../arguments.ts';
import { SafetensorsError, systemError } from '../errors.ts';
import { LENGTH_BYTES } from '../header/bytes.ts';
import { parseHeader } from '../header/parse.ts';
import { headerLength, PREAMBLE_BYTES } from '../header/preamble.ts';
import { native } from '../native.ts';
import { checkedPath } from '../path.ts';
import { AtomicFile, withPath } from './atomic-file.ts';
import {
  BLOCK_BYTES,
  changeInPlace,
  changeOfOneBlock,
  findMetadata,
  lengthWith,
  type MetadataItem,
  respaced,
  scratchOf,
} from './metadata-item.ts';
import {
  type CheckedSaving,
  checkString,
  isMap,
  MAX_HEADER_BYTES,
  type SaveOptions,
  savingOptions,
} from './options.ts';
import { checkHeaderBytes, metadataValue } from './plan.ts';
import { resolveTarget } from './target.ts';
import { inTurn } from './turns.ts';

/** Room for metadata that a copied file has at least, so that the next change is in place. */
const LEAST_ROOM = 1024;

/**
 * Bytes of a file that are copied before an abort is noticed, and progress told: little beside a
 * second of any disk, and much beside what a call costs.
 */
const COPIED_BYTES = 64 * 2 ** 20;

/** What is to become of metadata: `null` removes a key. */
export type MetadataChanges =
  | Readonly<Record<string, string | null>>
  | ReadonlyMap<string, string | null>;

/** For files that have to be copied; a change in place is over at once. */
export type UpdateOptions = Pick<SaveOptions, 'signal' | 'onProgress'>;

/** What {@link updateMetadata} did. */
export interface MetadataUpdate {
  /** The metadata now, in its order: frozen, without a prototype. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether the file is still the same one; a new one has taken its place otherwise. */
  readonly inPlace: boolean;
}

/** A file and its header, as it was read and checked. */
interface Read {
  readonly handle: FileHandle;
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: bigint;
  readonly modifiedNs: bigint;
  /** Without its length, with its padding. */
  readonly header: Buffer;
}

/**
 * Changes the metadata of a safetensors file: keys that are given are set, or removed by `null`; all
 * others stay, and so does every byte of the entries and the data.
 *
 * Where the header has room, and all that changes is in one block of the file (4096 bytes), it is changed
 * in place, in one write, and who has the file open keeps its tensors. Else a new file takes the place of
 * the old one in one step, as with {@link saveFile}, which shares the blocks of the data where the file
 * system can do that, and has room right behind its metadata. Either is on the disk when the promise
 * resolves.
 *
 * A process that is killed at any moment leaves the earlier metadata or the new; so does a power failure,
 * but for a change in place on a disk that does not write 4096 bytes whole. Two processes must not change
 * the same file at once.
 *
 * An abort leaves the file as it is.
 *
 * @param path A path or a `file:` URL; symbolic links are followed.
 * @throws the reason of `signal`, and whatever `onProgress` throws
 * @throws {TypeError}, {RangeError} for changes that are no text or not Unicode, and for a header that
 *   gets over 100,000,000 bytes
 * @throws {SafetensorsError} for a file that is no valid safetensors file; FILE_CHANGED when it changes
 *   or is replaced while it is copied
 * @throws {Error} of Node's own shape for what the file system refuses
 */
export async function updateMetadata(
  path: string | URL,
  changes: MetadataChanges,
  options?: UpdateOptions,
): Promise<MetadataUpdate> {
  const named = checkedPath(path);
  const checked = checkChanges(changes);
  const saving = savingOptions(options);
  saving.signal?.throwIfAborted();
  return withPath(named, async () => {
    const finding = findFile(named);
    return inTurn(
      finding.then(({ keys }) => keys),
      async () => updateFile(named, (await finding).path, checked, saving),
    );
  });
}

/** Where a path leads to, and what its changes wait for each other by. */
async function findFile(named: string): Promise<{ path: string; keys: string[] }> {
  const target = await resolveTarget(named);
  if (target.mode === undefined) throw systemError(-constants.errno.ENOENT, 'open', named);
  // A file may have several names, and a name another file by the time that it is its turn.
  const { dev, ino } = await stat(target.path, { bigint: true });
  return { path: target.path, keys: [target.path, `${dev}:${ino}`] };
}

function checkChanges(changes: MetadataChanges): [string, string | null][] {
  checkObject(changes, 'changes');
  const pairs = isMap(changes) ? [...changes] : Object.entries(changes);
  for (const [key, value] of pairs) {
    checkString(key, 'changes: a key');
    if (value !== null)
      checkString(value, `changes: the value of ${inspect(key)}`, 'a string or null');
  }
  return pairs;
}

async function updateFile(
  named: string,
  path: string,
  changes: readonly [string, string | null][],
  saving: CheckedSaving,
): Promise<MetadataUpdate> {
  saving.signal?.throwIfAborted();
  const handle = await open(path, 'r+');
  try {
    const read = await readHeader(handle, named);
    const item = findMetadata(scratchOf(read.header));
    const pairs = new Map(item.pairs);
    for (const [key, value] of changes) {
      if (value === null) pairs.delete(key);
      else pairs.set(key, value);
    }
    if (isSame(item.pairs, pairs)) return { metadata: recordOf(pairs), inPlace: true };
    const text = `"__metadata__":${metadataValue(pairs)}`;
    const inPlace = await writeInPlace(read, item, text);
    if (!inPlace) await copyFile(named, read, respacedHeader(read, item, text), saving);
    return { metadata: recordOf(pairs), inPlace };
  } finally {
    await handle.close();
  }
}

/** Reads and checks the header, so that nothing but a safetensors file is ever written to. */
async function readHeader(handle: FileHandle, named: string): Promise<Read> {
  const status = await handle.stat({ bigint: true });
  const { dev: device, ino: inode, size, mtimeNs: modifiedNs } = status;
  const byteLength = Number(size);
  const preamble = Buffer.alloc(Math.min(PREAMBLE_BYTES, byteLength));
  await readAll(handle, preamble, 0, named);
  const options = { maxHeaderBytes: MAX_HEADER_BYTES, path: named };
  const length = headerLength(preamble, byteLength, options);
  const header = Buffer.allocUnsafeSlow(length);
  await readAll(handle, header, LENGTH_BYTES, named);
  parseHeader(scratchOf(header), {
    dataLength: byteLength - LENGTH_BYTES - length,
    duplicates: 'reject',
    path: named,
  });
  return { handle, device, inode, size, modifiedNs, header };
}

async function readAll(handle: FileHandle, target: Buffer, position: number, named: string) {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) throw changed(named);
    done += bytesRead;
  }
}

async function writeAll(handle: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

/** Writes the new metadata into the header; whether that could be done in one block. */
async function writeInPlace(read: Read, item: MetadataItem, text: string): Promise<boolean> {
  const wanted = changeInPlace(read.header, item, text);
  const change = wanted && changeOfOneBlock(read.header, wanted);
  if (change === undefined) return false;
  await writeAll(read.handle, change.bytes, LENGTH_BYTES + change.at);
  await read.handle.datasync();
  return true;
}

/** A header with room for the new metadata. The data moves by whole blocks, which are all that can be shared. */
function respacedHeader({ header }: Read, item: MetadataItem, text: string): Buffer {
  const needed = lengthWith(item, text);
  const blocks = Math.ceil((needed + LEAST_ROOM - header.length) / BLOCK_BYTES);
  const newLength = header.length + blocks * BLOCK_BYTES;
  checkHeaderBytes(newLength);
  return respaced(header, item, text, newLength);
}

/** Puts a file with another header and the same data into the place of the one that was read. */
async function copyFile(
  named: string,
  read: Read,
  header: Buffer,
  { signal, onProgress }: CheckedSaving,
): Promise<void> {
  const dataStart = LENGTH_BYTES + header.length;
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(header.length));
  // Nothing is preallocated: the blocks of the data are those of the old file, where that can be.
  const file = await AtomicFile.create(named, { byteLength: 0, fsync: true });
  // What is under way ends later, and may be a long fsync.
  const remove = () => void file.remove();
  signal?.addEventListener('abort', remove);
  try {
    await writeAll(file.handle, Buffer.concat([length, header]), 0);
    for (const piece of copiedPieces(read, dataStart)) {
      signal?.throwIfAborted();
      const { from, to, byteLength } = piece;
      await native()
        .copyRange(read.handle.fd, from, file.handle.fd, to, byteLength)
        .catch((error) => {
          throw error.errno === -constants.errno.ENODATA ? changed(named) : error;
        });
      const totalBytes = Number(read.size) + dataStart - LENGTH_BYTES - read.header.length;
      onProgress?.({ bytes: to + byteLength, totalBytes });
    }
    const now = await read.handle.stat({ bigint: true });
    if (now.size !== read.size || now.mtimeNs !== read.modifiedNs) throw changed(named);
    await file.seal();
    // Another file may have come to the path, which must not be lost.
    if (!(await file.replaces(read.device, read.inode))) throw changed(named);
    signal?.throwIfAborted();
    signal?.removeEventListener('abort', remove);
    await file.publish();
  } catch (error) {
    signal?.removeEventListener('abort', remove);
    await file.discard();
    throw error;
  }
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

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

function recordOf(pairs: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  const record: Record<string, string> = Object.create(null);
  for (const [key, value] of pairs) record[key] = value;
  return Object.freeze(record);
}
