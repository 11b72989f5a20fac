import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { systemError, withPath } from '../errors.ts';
import { allocateHeader } from '../header/bytes.ts';
import { pathIn } from '../path.ts';
import { AtomicFile, type AtomicFileOptions, syncFolder } from '../write/atomic-file.ts';
import { resolveTarget } from '../write/target.ts';
import { INDEX_FILE, indexText, SHARD_NAME, SINGLE_FILE } from './shards.ts';
import { parseWeightMap } from './weight-map.ts';

/** A model whose files are whole, each still under a name of its own. */
export interface NewModel {
  /** The folder, as the caller named it. */
  readonly path: string;
  readonly fullPath: string;
  /** The index last, if there is one. */
  readonly files: readonly { readonly name: string; readonly file: AtomicFile }[];
  /** Whether each step is to be on the disk before the next. */
  readonly fsync: boolean;
  /** Whether an index that is a symbolic link is itself replaced, and not what it leads to. */
  readonly replacesIndexLink: boolean;
}

/** The shard that an index names while what it named before is being replaced; there is none of that name. */
const MISSING_SHARD = 'model-is-being-saved.safetensors';
const TOMBSTONE = Buffer.from(indexText({ totalSize: 0, weightMap: [['', MISSING_SHARD]] }));

/**
 * Puts a model in the place of the one in its folder. Between any two steps `openModel` finds there the
 * earlier model or the new one, or refuses; what it looks for first is the index, then
 * `model.safetensors`.
 *
 * 1. Where a file that the earlier index names is to be replaced, that index first gives way to one that no
 *    reader takes. (Without any, what is left of the earlier model might be found, and be taken for all of it.)
 * 2. Shards, or `model.safetensors`, take their places: nobody looks at them yet, or all is done.
 * 3. The new index takes its place, or, when there is none, the one that is there goes: now it is the new
 *    model.
 * 4. What is left of the earlier model goes, as far as it can.
 */
export async function replaceModel(model: NewModel): Promise<void> {
  const { path, fullPath, files } = model;
  const remove = (name: string) => rm(pathIn(fullPath, name), { force: true });
  await withPath(path, async () => {
    const before = new Set(await readdir(fullPath));
    const hasIndex = before.has(INDEX_FILE);
    if (hasIndex) await givingWay(model, () => publishShards(model));
    else await publishShards(model);
    const index = files.find(({ name }) => name === INDEX_FILE);
    if (index) {
      await index.file.publish();
      await sync(model, [index.file.folder]);
    } else if (hasIndex) {
      await remove(INDEX_FILE);
      await sync(model, [fullPath]);
    }
    const kept = new Set(files.map(({ name }) => name));
    for (const name of before) {
      const isOld = SHARD_NAME.test(name) || name === SINGLE_FILE;
      if (isOld && !kept.has(name)) await remove(name).catch(() => {});
    }
  });
}

/** Puts shards, or `model.safetensors`, in their places. */
async function publishShards(model: NewModel): Promise<void> {
  const shards = model.files.filter(({ name }) => name !== INDEX_FILE).map(({ file }) => file);
  for (const shard of shards) await shard.publish();
  await sync(
    model,
    shards.map(({ folder }) => folder),
  );
}

/**
 * Does what replaces files of the index that is there, which first gives way if it names one of them. It comes
 * back when not even the first was replaced.
 */
async function givingWay(model: NewModel, replace: () => Promise<void>): Promise<void> {
  const { path, fullPath, files } = model;
  const index = pathIn(fullPath, INDEX_FILE);
  // It could not be removed when its turn comes, which is too late.
  if ((await lstat(index)).isDirectory()) throw systemError(-constants.errno.EISDIR, 'rm', path);
  const earlier = await readFile(index).catch(() => undefined);
  const named = earlier && shardsOf(earlier);
  const givesWay = named === undefined || files.some(({ name }) => named.has(name));
  try {
    if (givesWay) await replaceIndex(model, TOMBSTONE);
    await replace();
  } catch (error) {
    const isWhole = !files.some(({ file }) => file.isPublished);
    if (givesWay && earlier && isWhole) await replaceIndex(model, earlier).catch(() => {});
    throw error;
  }
}

async function sync({ fsync }: NewModel, folders: readonly string[]): Promise<void> {
  if (fsync) for (const folder of new Set(folders)) await syncFolder(folder);
}

/** Gives the index other contents. */
async function replaceIndex(model: NewModel, bytes: Buffer): Promise<void> {
  const { path, fullPath, fsync, replacesIndexLink } = model;
  const file = await writeIndex(bytes, pathIn(path, INDEX_FILE), {
    fsync,
    fullPath: pathIn(fullPath, INDEX_FILE),
    replacesLink: replacesIndexLink,
  });
  try {
    await file.publish();
  } catch (error) {
    await file.discard();
    throw error;
  }
  await sync(model, [file.folder]);
}

/** Writes an index under a name of its own; the caller sees to the name on the disk. */
export async function writeIndex(
  bytes: Buffer,
  path: string,
  options: Pick<AtomicFileOptions, 'fsync' | 'fullPath' | 'replacesLink'>,
): Promise<AtomicFile> {
  const byteLength = bytes.length;
  const file = await AtomicFile.create(path, { ...options, byteLength, leavesFolder: true });
  try {
    await withPath(path, () => file.handle.writeFile(bytes));
    await file.seal();
    return file;
  } catch (error) {
    await file.discard();
    throw error;
  }
}

/**
 * Names of a model's files that are symbolic links which must not be followed: to a file that another of
 * the names leads to as well, or to one in the folder itself, which may be of the earlier model. Each
 * of these files is then put in the place of the link.
 */
export async function linksToReplace(
  folder: { readonly path: string; readonly fullPath: string },
  names: readonly string[],
): Promise<ReadonlySet<string>> {
  const entries = await readdir(folder.fullPath, { withFileTypes: true });
  const isLink = new Set(entries.filter((entry) => entry.isSymbolicLink()).map(({ name }) => name));
  const replaced = new Set<string>();
  const followed = new Map<string, string>();
  for (const name of names) {
    if (!isLink.has(name)) continue;
    const path = pathIn(folder.path, name);
    const fullPath = pathIn(folder.fullPath, name);
    const own = await resolveTarget(path, { fullPath, followsLink: false });
    const led = await resolveTarget(path, { fullPath });
    const other = followed.get(led.path);
    if (other !== undefined) replaced.add(other);
    if (other !== undefined || led.folder === own.folder) replaced.add(name);
    followed.set(led.path, name);
  }
  return replaced;
}

/** The files that an index names; undefined for one that names none that could be opened. */
function shardsOf(text: Buffer): ReadonlySet<string> | undefined {
  try {
    const bytes = allocateHeader(text.length);
    bytes.set(text);
    return new Set(parseWeightMap(bytes, INDEX_FILE).files);
  } catch {
    return undefined;
  }
}
