import { dirname } from 'node:path';
import { SafetensorsError } from '../errors.ts';
import { allocateHeader } from '../header/bytes.ts';
import { type FileHandle, native, type OpenedFile } from '../native.ts';
import { type CheckedOptions, type OpenOptions, openOptions } from '../open-options.ts';
import { Opening, openingError } from '../opening.ts';
import { checkedPath, fullPathOf, pathIn } from '../path.ts';
import { storageOfMapped, storageOfRead } from '../storage/file-storage.ts';
import { locateModel, type ModelPlace } from './locate.ts';
import { Matcher } from './matcher.ts';
import { SafetensorsModel, type WatchedFile } from './model.ts';
import { ModelTable } from './model-table.ts';
import { isMapRefusal, type PlannedRange, planRange } from './range.ts';
import { ShardReader } from './shard-reader.ts';
import { assertVersion, checkVersion } from './version.ts';
import { parseWeightMap, shardRuns, type WeightMap } from './weight-map.ts';

export interface ModelOptions extends OpenOptions {
  /**
   * {@link SafetensorsModel.version} of the model as another thread or process has it open: FILE_CHANGED when
   * the files found here are not the same ones. Default: any.
   */
  version?: string | undefined;
}

/** The beginning of a single file that is read at once: the header of most. */
const PREFIX_BYTES = 128 * 1024;

/**
 * Opens a model, of one file or of many: maps all of its shards into one range of addresses, and
 * checks all headers. No data is read, and no ArrayBuffer is made over it, before a tensor is asked
 * for its `data`.
 *
 * The index's `weight_map` is a list of what is allowed: a tensor that is not in it, or that it has in
 * another shard, is not served. No descriptor stays open of files that are mapped, one of each that is
 * read (`backend`), and none when opening fails.
 *
 * @param path A path or a `file:` URL: of an index (`*.json`), of a single file, or of a folder, in
 *   which `model.safetensors.index.json` is looked for, then `model.safetensors`, then any other
 *   index, then any other file.
 * @returns The open model; {@link SafetensorsModel.close} it, or leave that to garbage collection.
 * @throws {SafetensorsError} for everything the format refuses, with the path of the shard;
 *   SHARD_PATH, SHARD_MISSING, INDEX_MISMATCH; HEADER_JSON, HEADER_UTF8, HEADER_TOO_LARGE,
 *   DUPLICATE_KEY with the path of the index for what is wrong with that; FILE_CHANGED for another
 *   {@link ModelOptions.version} than the one asked for
 * @throws {Error} of Node's own shape (`code: 'EMFILE'`) for what the file system refuses
 */
export async function openModel(
  path: string | URL,
  options?: ModelOptions,
): Promise<SafetensorsModel> {
  const named = checkedPath(path);
  const checked = openOptions(options);
  const version = options?.version;
  checkVersion(version);
  // Now: the working directory may change while the model is being opened.
  const place = await locateModel(named, fullPathOf(named));
  const model = await (place.isIndex ? openSharded(place, checked) : openSingle(place, checked));
  try {
    if (version !== undefined) assertVersion(model.version, version, place.path);
    return model;
  } catch (error) {
    model.close();
    throw error;
  }
}

async function openSingle(
  { path, fullPath }: ModelPlace,
  options: CheckedOptions,
): Promise<SafetensorsModel> {
  const opening = new Opening(path, options, fullPath);
  const prefix = Buffer.allocUnsafeSlow(PREFIX_BYTES);
  try {
    await opening.read(native().open(fullPath, prefix, options.backend), prefix);
    const { identity, storage } = opening.finish();
    return new SafetensorsModel({
      path,
      storage,
      shards: [{ path, fullPath, identity }],
    });
  } catch (error) {
    throw opening.fail(error);
  }
}

async function openSharded(
  { path, fullPath }: ModelPlace,
  options: CheckedOptions,
): Promise<SafetensorsModel> {
  const { text, identity } = await readIndex(path, fullPath, options.maxHeaderBytes);
  const map = parseWeightMap(text, path);
  const files = shardPaths(map.files, dirname(path), dirname(fullPath));
  // Its names are hashed while the shards are being opened.
  const matcher = new Matcher(map, path, options.duplicates);
  const plan = await planRange(files, path);
  const index = { map, identity, path, fullPath };
  const mayMap = options.backend === 'mmap' || (options.backend === 'auto' && !plan.risky);
  try {
    return await openShards(index, plan, matcher, { ...options, map: mayMap });
  } catch (error) {
    if (options.backend !== 'auto' || !isMapRefusal(error)) throw error;
    const again = new Matcher(map, path, options.duplicates);
    return openShards(index, plan, again, { ...options, map: false });
  }
}

/** An index that has been read. */
interface ReadIndex extends WatchedFile {
  readonly map: WeightMap;
}

async function openShards(
  { map, path, ...index }: ReadIndex,
  plan: PlannedRange,
  matcher: Matcher,
  options: CheckedOptions & { readonly map: boolean },
): Promise<SafetensorsModel> {
  const range = reserve(options.map ? plan.byteLength : 0, path);
  const reader = new ShardReader(range, plan.shards, longestHeader(map), options);
  try {
    const { headers, shards } = await reader.matchAll(matcher);
    const table = new ModelTable(map, matcher, headers);
    const place = { byteLength: plan.byteLength, dataStart: 0, path, table };
    const storage = options.map
      ? storageOfMapped(range, { ...place, faultGuard: options.faultGuard, files: plan.shards })
      : storageOfRead(range, reader.files, place);
    return new SafetensorsModel({ path, storage, shards, index: { path, ...index }, table });
  } catch (error) {
    await reader.stop();
    native().close(range);
    // Whatever is wrong with a shard, what is wrong with the index comes first.
    await matcher.checkIndex();
    throw error;
  }
}

/** Names of shards have been checked, and are put behind the path of the folder as they are. */
function shardPaths(
  names: readonly string[],
  folder: string,
  fullFolder: string,
): { path: string; fullPath: string }[] {
  const [first = ''] = names;
  const before = pathIn(folder, first).slice(0, -first.length);
  const fullBefore = pathIn(fullFolder, first).slice(0, -first.length);
  return names.map((name) => ({ path: before + name, fullPath: fullBefore + name }));
}

function reserve(byteLength: number, path: string): FileHandle {
  try {
    return native().reserve(byteLength);
  } catch (error) {
    throw openingError(error, path);
  }
}

/** The whole index. */
async function readIndex(
  path: string,
  fullPath: string,
  mostBytes: number,
): Promise<{ text: Buffer; identity: WatchedFile['identity'] }> {
  const addon = native();
  let opened: OpenedFile | undefined;
  try {
    const identity = await addon.open(fullPath, Buffer.alloc(0), 'read');
    opened = identity;
    const { handle, size } = identity;
    if (size > mostBytes) {
      const message = `the index has ${size} bytes; at most ${mostBytes} are allowed`;
      throw new SafetensorsError('HEADER_TOO_LARGE', message, { path });
    }
    const bytes = allocateHeader(size);
    // Two halves at once: it is new memory, whose pages take longer than what is read into them.
    const middle = size >>> 1;
    const [first, second] = await Promise.all([
      addon.read(handle, 0, bytes.subarray(0, middle), false),
      addon.read(handle, middle, bytes.subarray(middle, size), false),
    ]);
    if (first + second < size) {
      const message = 'the index became shorter while it was read';
      throw new SafetensorsError('FILE_CHANGED', message, { path });
    }
    return { text: bytes, identity };
  } catch (error) {
    throw openingError(error, path);
  } finally {
    if (opened) addon.close(opened.handle);
  }
}

/** Bytes that an entry of a header takes beside its name: with large weights, and long offsets. */
const ENTRY_BYTES = 88;
/** Bytes that an entry of an index takes beside both names, at least. */
const INDEX_ENTRY_BYTES = '"":"",'.length;
/** For metadata and blanks. */
const OTHER_BYTES = 256;

/** About how many bytes the longest header of all shards has. */
function longestHeader(map: WeightMap): number {
  const { files, nameStarts, nameEnds } = map;
  const bytes = new Float64Array(files.length);
  shardRuns(map, (shard, first, end) => {
    const between = (end - 1 - first) * (files[shard].length + INDEX_ENTRY_BYTES);
    bytes[shard] += nameEnds[end - 1] - nameStarts[first] - between + (end - first) * ENTRY_BYTES;
  });
  return bytes.reduce((longest, length) => Math.max(longest, length), 0) + OTHER_BYTES;
}
