import { mkdir, rmdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { withPath } from '../errors.ts';
import { checkedPath, fullPathOf, pathIn } from '../path.ts';
import { type AtomicFile, syncFolder } from '../write/atomic-file.ts';
import { type CheckedTensor, checkTensors, type TensorsLike } from '../write/inputs.ts';
import {
  type CheckedLayout,
  type CheckedSaving,
  layoutOptions,
  MAX_HEADER_BYTES,
  type SaveOptions,
  savingOptions,
} from '../write/options.ts';
import { type FilePlan, planFile } from '../write/plan.ts';
import { type Steps, withPauses } from '../write/steps.ts';
import { writeTemporary } from '../write/temporary.ts';
import { linksToReplace, replaceModel, writeIndex } from './replace-model.ts';
import {
  DEFAULT_SHARD_SIZE,
  INDEX_FILE,
  indexSteps,
  shardFileNames,
  shardSizeBytes,
  splitIntoShards,
} from './shards.ts';

export interface SaveModelOptions
  extends Pick<SaveOptions, 'metadata' | 'fsync' | 'signal' | 'onProgress'> {
  /**
   * Bytes of tensors that a shard may have, as a number or as text in units of powers of 1000: "500MB".
   * A tensor that has more has a shard of its own. Default: "5GB".
   */
  maxShardSize?: string | number | undefined;
}

/** What {@link saveModel} has written: names of files in the folder. */
export interface SavedModel {
  /** In the order of the tensors. */
  readonly files: readonly string[];
  /** There is none when there is one file. */
  readonly index?: string;
}

interface PlannedFile {
  readonly name: string;
  readonly plan: FilePlan<CheckedTensor>;
}

/**
 * Saves tensors as a model in a folder, which is made if it is not there, with those above it: `model.safetensors`, or, when
 * that would exceed `maxShardSize`, shards and an index, split and named as by `huggingface_hub`.
 * `metadata` goes into every file, and into the index.
 *
 * All files are written whole, under other names, before the first takes the place of an earlier one;
 * the index comes last. A crash at any moment leaves a folder in which {@link openModel} finds the
 * earlier model or the new one, or refuses to open: never a part of one or a mixture. Then what an
 * earlier model leaves behind goes: `model-…-of-….safetensors`, and `model.safetensors` beside an index.
 * When anything fails before the first file takes its place, the earlier model is untouched. Two
 * calls, of one process or of two, must not save to one folder at once.
 *
 * Saving over the very model whose tensors are saved is fine; that one stays as it was for whoever has it
 * open. Everything else is as with {@link saveFile}.
 *
 * @param folder A path or a `file:` URL.
 * @throws as {@link saveFile} does; {@link RangeError} for a `maxShardSize` that takes more than 99,999
 *   shards, or an index over 100,000,000 bytes
 */
export async function saveModel(
  tensors: TensorsLike,
  folder: string | URL,
  options: SaveModelOptions = {},
): Promise<SavedModel> {
  const path = checkedPath(folder);
  // As the working directory of now has it.
  const fullPath = fullPathOf(path);
  const saving = savingOptions(options);
  const { maxShardSize = DEFAULT_SHARD_SIZE, metadata } = options;
  const maxBytes = shardSizeBytes(maxShardSize);
  const layout = layoutOptions(metadata === undefined ? {} : { metadata });
  saving.signal?.throwIfAborted();

  const planning = planModel(tensors, layout, maxBytes);
  const { files, index } = await withPauses(planning, saving.signal);
  const names = files.map(({ name }) => name);
  await write(files, index, { path, fullPath }, saving);
  return index === undefined ? { files: names } : { files: names, index: INDEX_FILE };
}

interface PlannedModel {
  readonly files: readonly PlannedFile[];
  readonly index: Buffer | undefined;
}

function* planModel(
  tensors: TensorsLike,
  layout: CheckedLayout,
  maxBytes: number,
): Steps<PlannedModel> {
  const checked = yield* checkTensors(tensors);
  const shards = splitIntoShards(checked, maxBytes);
  const names = shardFileNames(shards.length);
  const files: PlannedFile[] = [];
  for (const [i, shard] of shards.entries()) {
    files.push({ name: names[i], plan: yield* planFile(shard, layout) });
  }
  if (files.length === 1) return { files, index: undefined };
  const text = yield* indexSteps({
    totalSize: checked.reduce((sum, { byteLength }) => sum + byteLength, 0),
    metadata: layout.metadata,
    weightMap: namesOf(shards, names),
  });
  return { files, index: checkedIndex(text) };
}

/** Each tensor and its file. */
function* namesOf(
  shards: readonly (readonly CheckedTensor[])[],
  files: readonly string[],
): Generator<[name: string, file: string]> {
  for (const [i, shard] of shards.entries()) for (const { name } of shard) yield [name, files[i]];
}

/** @throws {RangeError} for one that could not be opened again */
function checkedIndex(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_HEADER_BYTES) return bytes;
  throw new RangeError(
    `index: expected at most ${MAX_HEADER_BYTES} bytes, found ${bytes.length}: choose a larger maxShardSize`,
  );
}

/** Writes everything under other names, and puts it in its place. */
async function write(
  files: readonly PlannedFile[],
  index: Buffer | undefined,
  { path, fullPath }: { path: string; fullPath: string },
  saving: CheckedSaving,
): Promise<void> {
  const made = await makeFolders(path, fullPath);
  const temporary: { name: string; file: AtomicFile }[] = [];
  try {
    const { fsync } = saving;
    const shard = withTotal(files, saving);
    const names = files.map(({ name }) => name);
    if (index !== undefined) names.push(INDEX_FILE);
    const links = await withPath(path, () => linksToReplace({ path, fullPath }, names));
    const place = (name: string) => ({
      fullPath: pathIn(fullPath, name),
      replacesLink: links.has(name),
    });
    for (const { name, plan } of files) {
      const file = await writeTemporary(plan, pathIn(path, name), shard(plan), {
        ...place(name),
        leavesFolder: true,
      });
      temporary.push({ name, file });
    }
    if (index !== undefined) {
      const options = { ...place(INDEX_FILE), fsync };
      const file = await writeIndex(index, pathIn(path, INDEX_FILE), options);
      temporary.push({ name: INDEX_FILE, file });
    }
    if (fsync) await withPath(path, () => syncNames(made));
    saving.signal?.throwIfAborted();
    // One that is not wanted any more is not followed either: what it leads to stays.
    const replacesIndexLink = index === undefined || links.has(INDEX_FILE);
    await replaceModel({ path, fullPath, files: temporary, fsync, replacesIndexLink });
  } catch (error) {
    for (const { file } of temporary) await file.discard();
    await removeEmpty(made);
    throw error;
  }
}

/** Makes a folder and those above it that are not there; returns the ones made, innermost first. */
async function makeFolders(path: string, fullPath: string): Promise<string[]> {
  const outermost = await withPath(path, () => mkdir(fullPath, { recursive: true }));
  const made: string[] = [];
  if (outermost === undefined) return made;
  for (let folder = fullPath; folder.length >= outermost.length; folder = dirname(folder)) {
    // Above it are folders that may have been there.
    if (basename(folder) === '..') break;
    made.push(folder);
  }
  return made;
}

/** Puts the names of new folders on the disk: without them, nothing leads to the files. */
async function syncNames(made: readonly string[]): Promise<void> {
  for (const folder of made) await syncFolder(dirname(folder));
}

/** Removes new folders, but those that somebody else has put something into. */
async function removeEmpty(made: readonly string[]): Promise<void> {
  for (const folder of made) await rmdir(folder).catch(() => {});
}

/** The options for one file after the other, whose progress is that of all. */
function withTotal(
  files: readonly PlannedFile[],
  saving: CheckedSaving,
): (plan: FilePlan<CheckedTensor>) => CheckedSaving {
  const totalBytes = files.reduce((sum, { plan }) => sum + plan.byteLength, 0);
  const { onProgress } = saving;
  let before = 0;
  return ({ byteLength }) => {
    const done = before;
    before += byteLength;
    if (onProgress === undefined) return saving;
    return {
      ...saving,
      onProgress: ({ bytes }) => onProgress({ bytes: done + bytes, totalBytes }),
    };
  };
}
