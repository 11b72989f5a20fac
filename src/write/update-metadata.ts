import { open, stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { inspect } from 'node:util';
import { checkObject } from '../arguments.ts';
import { systemError, withPath } from '../errors.ts';
import { LENGTH_BYTES } from '../header/bytes.ts';
import { checkedPath, fullPathOf } from '../path.ts';

import { Copy, type Read, readHeader, writeAll } from './copy.ts';
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
  type SaveOptions,
  savingOptions,
} from './options.ts';
import { checkHeaderBytes, metadataValue } from './plan.ts';
import { resolveTarget } from './target.ts';
import { inTurn } from './turns.ts';

/** Room for metadata that a copied file has at least, so that the next change is in place. */
const LEAST_ROOM = 1024;

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
  // As the working directory of now has it.
  const names = { path: named, fullPath: fullPathOf(named) };
  const finding = withPath(named, () => findFile(named));
  return inTurn(
    finding.then(({ keys }) => keys),
    async () => updateFile(names, (await finding).path, checked, saving),
  );
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
  names: Pick<Read, 'path' | 'fullPath'>,
  target: string,
  changes: readonly [string, string | null][],
  saving: CheckedSaving,
): Promise<MetadataUpdate> {
  saving.signal?.throwIfAborted();
  const { path } = names;
  const handle = await withPath(path, () => open(target, 'r+'));
  let copy: Copy | undefined;
  try {
    const read = await withPath(path, () => readHeader(handle, names));
    const item = findMetadata(scratchOf(read.header));
    const pairs = new Map(item.pairs);
    for (const [key, value] of changes) {
      if (value === null) pairs.delete(key);
      else pairs.set(key, value);
    }
    if (isSame(item.pairs, pairs)) return { metadata: recordOf(pairs), inPlace: true };
    const text = `"__metadata__":${metadataValue(pairs)}`;
    const inPlace = await withPath(path, () => writeInPlace(read, item, text));
    if (!inPlace) {
      copy = await Copy.begin(read, respacedHeader(read, item, text), saving);
      await copy.publish();
    }
    return { metadata: recordOf(pairs), inPlace };
  } finally {
    // After an abort, what is under way ends later, and may be a long fsync.
    const closing = (copy?.settled ?? Promise.resolve()).then(() => handle.close());
    if (saving.signal?.aborted) closing.catch(() => {});
    else await closing;
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

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([key, value]) => b.get(key) === value);
}

function recordOf(pairs: ReadonlyMap<string, string>): Readonly<Record<string, string>> {
  const record: Record<string, string> = Object.create(null);
  for (const [key, value] of pairs) record[key] = value;
  return Object.freeze(record);
}
