import { constants, mkdir, open, readdir, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { withPath } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { SafetensorsError, safeOpen } from '../index.ts';
import { indexText } from '../model/shards.ts';
import { fullPathOf, pathIn } from '../path.ts';
import { AtomicFile } from '../write/atomic-file.ts';
import { type FilePlan, planFile } from './convert-file.ts';
import { malformed } from './fault.ts';
import { checkOutput } from './kind-of-path.ts';
import type { CheckedOptions } from './options.ts';
import {
  bytesOf,
  type Conversion,
  type ConvertedFile,
  convertedFile,
  convertPlanned,
  progressOf,
} from './planned.ts';
import { verifyOutput, type WorkOptions } from './write.ts';

const INDEX = /\.index\.json$/;
const CHECKPOINT = /\.(bin|pt|pth|ckpt)$/;
/** What the model of a folder is called, where there are other checkpoints beside it. */
const USUAL_NAME = 'pytorch_model.bin';
/** As that of the header of a safetensors file. */
const MOST_INDEX_BYTES = 100_000_000;

/** The checkpoints of a model, and which tensors are in which. */
interface Source {
  readonly folder: string;
  /** In the order of their first tensors. */
  readonly files: readonly string[];
  /** By tensor; `undefined` for a model of a single file. */
  readonly weightMap: ReadonlyMap<string, string> | undefined;
  readonly indexName: string | undefined;
}

/** Converts the model of a folder, with the same split; see {@link convertCheckpoint}. */
export async function convertFolder(
  input: string,
  output: string,
  options: CheckedOptions,
): Promise<Conversion> {
  const source = await findSource(input);
  const { bytes, files: planned } = await planAll(source, output, options);
  if (options.dryRun) return result(planned, source, output);
  await mkdir(fullPathOf(output), { recursive: true });
  const progress = progressOf(options, bytes);
  const files: ConvertedFile[] = [];
  for (const name of source.files) {
    options.signal?.throwIfAborted();
    files.push(await convertShard(source, name, { output, options, progress }));
  }
  const conversion = result(files, source, output);
  if (conversion.index !== undefined) {
    // Of what was written, whatever the checkpoints were before.
    const weightMap = files.flatMap(({ output: path, tensors }) =>
      tensors.map(({ name }) => [name, basename(path)] as const),
    );
    const totalSize = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
    const text = indexText({ totalSize, weightMap });
    await writeText(conversion.index, text, options.fsync);
  }
  return conversion;
}

function result(
  files: readonly ConvertedFile[],
  { indexName }: Source,
  output: string,
): Conversion {
  if (indexName === undefined) return { files };
  return { files, index: pathIn(output, outputName(indexName)) };
}

/** Looks at all files before the first is written, so that what is refused is refused at once. */
async function planAll(source: Source, output: string, options: CheckedOptions) {
  const files: ConvertedFile[] = [];
  const names = new Set<string>();
  let bytes = 0;
  for (const file of source.files) {
    options.signal?.throwIfAborted();
    const target = pathIn(output, outputName(file));
    const plan = await planShard(source, file, options);
    using _checkpoint = plan.checkpoint;
    await checkOutput(target, plan.file.path);
    for (const { name } of plan.tensors) {
      if (names.has(name)) {
        throw new RangeError(`stripPrefix: two tensors would be called ${quoteName(name)}`);
      }
      names.add(name);
    }
    bytes += bytesOf(plan);
    files.push(convertedFile(plan, plan.file.path, target, false));
  }
  return { bytes, files };
}

async function planShard(
  { folder, weightMap }: Source,
  name: string,
  options: CheckedOptions,
): Promise<FilePlan> {
  const plan = await planFile(pathIn(folder, name), options);
  try {
    if (weightMap !== undefined) checkAgainstIndex(plan, name, weightMap, options.stripPrefix);
    return plan;
  } catch (error) {
    plan.checkpoint[Symbol.dispose]();
    throw error;
  }
}

/** The tensors of a shard are those that the index has there, no more and no fewer. */
function checkAgainstIndex(
  plan: FilePlan,
  file: string,
  weightMap: ReadonlyMap<string, string>,
  stripPrefix = '',
): void {
  const names = [...plan.tensors.map(({ name }) => name), ...plan.links.keys()];
  let expected = 0;
  for (const shard of weightMap.values()) if (shard === file) expected++;
  for (const name of names) {
    if (weightMap.get(name) === file || weightMap.get(stripPrefix + name) === file) continue;
    const message = `tensor ${quoteName(name)} is in the shard, but not there in the index`;
    throw new SafetensorsError('INDEX_MISMATCH', message, { path: plan.file.path, tensor: name });
  }
  if (names.length === expected) return;
  const message = `the index has ${expected} tensors in the shard, which has ${names.length}`;
  throw new SafetensorsError('INDEX_MISMATCH', message, { path: plan.file.path });
}

async function convertShard(
  source: Source,
  name: string,
  { output, options, progress }: { output: string; options: CheckedOptions; progress: WorkOptions },
): Promise<ConvertedFile> {
  const target = pathIn(output, outputName(name));
  // It may be another by now than when all were looked at.
  const plan = await planShard(source, name, options);
  using _checkpoint = plan.checkpoint;
  const kept = await isFinished(plan, target, progress.signal);
  if (kept) progress.onBytes(bytesOf(plan) * (options.verify ? 2 : 1));
  else await convertPlanned(plan, target, options, progress);
  return convertedFile(plan, plan.file.path, target, kept);
}

/** Whether an earlier conversion has written the file: nothing but its bytes can tell. */
async function isFinished(
  plan: FilePlan,
  path: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  if ((await stat(fullPathOf(path)).catch(() => undefined)) === undefined) return false;
  try {
    {
      using there = await safeOpen(path);
      const found = new Map(Object.entries(there.metadata));
      const same = [...plan.metadata].every(([key, value]) => found.get(key) === value);
      if (!same || found.size !== plan.metadata.size) return false;
    }
    await verifyOutput(plan, path, { signal, onBytes: () => {} });
    return true;
  } catch (error) {
    if (error instanceof SafetensorsError) return false;
    throw error;
  }
}

async function findSource(input: string): Promise<Source> {
  if (INDEX.test(input)) return readIndex(dirname(input), basename(input));
  const names = await readdir(fullPathOf(input));
  const indexes = names.filter(
    (name) => INDEX.test(name) && CHECKPOINT.test(name.replace(INDEX, '')),
  );
  if (indexes.length > 1) throw severalModels(input, indexes);
  if (indexes.length === 1) return readIndex(input, indexes[0]);
  const all = names.filter((name) => CHECKPOINT.test(name));
  const files = all.includes(USUAL_NAME) ? [USUAL_NAME] : all;
  if (files.length !== 1) throw severalModels(input, files);
  return { folder: input, files, weightMap: undefined, indexName: undefined };
}

function severalModels(path: string, names: readonly string[]): SafetensorsError {
  const found = names.slice(0, 5).map(quoteName).join(', ') || 'none';
  const message = `expected one model of PyTorch in the folder, found ${found}: name a file`;
  return new SafetensorsError('NOT_A_CHECKPOINT', message, { path });
}

async function readIndex(folder: string, name: string): Promise<Source> {
  const path = pathIn(folder, name);
  const weightMap = weightMapOf(await readIndexText(path), path);
  const outputs = new Set<string>();
  for (const file of new Set(weightMap.values())) {
    if (!CHECKPOINT.test(file) || basename(file) !== file || /[\\/:\0]/.test(file)) {
      const message = `${quoteName(file)} is no name of a checkpoint in the folder`;
      throw new SafetensorsError('SHARD_PATH', message, { path });
    }
    // Where the file system ignores case, the second would be written over the first too.
    const output = outputName(file).toLowerCase();
    if (outputs.has(output)) {
      const message = `${quoteName(file)} would be written over another shard, to ${quoteName(outputName(file))}`;
      throw new SafetensorsError('SHARD_PATH', message, { path });
    }
    outputs.add(output);
  }
  return { folder, files: [...new Set(weightMap.values())], weightMap, indexName: name };
}

/** Of a regular file only: others may have no end, or keep their reader waiting. */
async function readIndexText(path: string): Promise<string> {
  const file = await withPath(path, () =>
    open(fullPathOf(path), constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)),
  );
  try {
    if (!(await file.stat()).isFile()) throw malformed(path, 'an index that is no regular file');
    const bytes = Buffer.alloc(Math.min((await file.stat()).size, MOST_INDEX_BYTES) + 1);
    let length = 0;
    for (let read = 1; read > 0 && length < bytes.length; length += read) {
      read = (await file.read(bytes, length, bytes.length - length, length)).bytesRead;
    }
    if (length > MOST_INDEX_BYTES)
      throw malformed(path, `an index of over ${MOST_INDEX_BYTES} bytes`);
    return bytes.toString('utf8', 0, length);
  } finally {
    await file.close();
  }
}

function weightMapOf(text: string, path: string): Map<string, string> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new SafetensorsError('HEADER_JSON', 'the index is no JSON', { path, cause });
  }
  const weightMap = isRecord(parsed) ? parsed.weight_map : undefined;
  if (!isRecord(weightMap)) throw malformed(path, 'an index without a weight_map');
  const entries = new Map<string, string>();
  for (const [name, file] of Object.entries(weightMap)) {
    if (typeof file !== 'string') throw malformed(path, 'an index that names no file');
    entries.set(name, file);
  }
  if (entries.size === 0) throw malformed(path, 'an index without tensors');
  return entries;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `pytorch_model-00001-of-00002.bin` becomes `model-00001-of-00002.safetensors`, its index likewise. */
function outputName(name: string): string {
  const index = INDEX.test(name) ? '.index.json' : '';
  const stem = name.replace(INDEX, '').replace(CHECKPOINT, '');
  return `${stem.replace(/^pytorch_model/, 'model')}.safetensors${index}`;
}

async function writeText(path: string, text: string, fsync: boolean): Promise<void> {
  const bytes = Buffer.from(text);
  const file = await AtomicFile.create(path, { byteLength: bytes.length, fsync });
  try {
    await withPath(path, () => file.handle.writeFile(bytes));
    await file.seal();
    await file.publish();
  } catch (error) {
    await file.discard();
    throw error;
  }
}
