import { open } from 'node:fs/promises';
import { checkObject, checkSignal } from '../arguments.ts';
import { SafetensorsError } from '../index.ts';
import { checkedPath, fullPathOf, pathIn } from '../path.ts';
import { readCheckpoint } from './checkpoint.ts';
import { dangerOf } from './dangers.ts';
import { describe, globalText } from './describe.ts';
import { isNoPickle, traceDisguised } from './disguised.ts';
import { filesOfFolder } from './files-of-folder.ts';
import { beginsLikeGguf } from './gguf/gguf.ts';
import { kindOf } from './kind-of-path.ts';
import { MappedCheckpoint } from './mapped-checkpoint.ts';
import { beginsLikeNpy } from './numpy/npy.ts';
import { scanOther } from './other-formats.ts';
import { PickleStream } from './pickle/stream.ts';
import { Trace } from './pickle/trace.ts';
import { PyCall } from './pickle/values.ts';
import { salvagePickles } from './salvage.ts';
import { beginsLikePickle, beginsLikeZip } from './signatures.ts';
import { beginsLikeTar } from './tar-records.ts';
import { readZip } from './zip.ts';

/**
 * `safe`: it names nothing but what tensors are made of. `unknown`: it names something else, or cannot be
 * read to its end. `dangerous`: what it names is known to run code, to reach files or the like.
 */
export type ScanVerdict = 'safe' | 'unknown' | 'dangerous';

/** A name that Python would import. */
export interface ScannedGlobal {
  /** Printable. */
  readonly name: string;
  /** Whether it is one of those that checkpoints are made of. */
  readonly listed: boolean;
  /** What harm it can do, where that is known. */
  readonly danger?: string;
}

/** A call that Python would make, of something that is not on the list. */
export interface ScannedCall {
  /** With its arguments, as Python would write it; printable, and shortened. */
  readonly call: string;
  /** Byte of the pickle. */
  readonly at: number;
  readonly danger?: string;
}

export interface ScannedFile {
  readonly path: string;
  readonly verdict: ScanVerdict;
  readonly globals: readonly ScannedGlobal[];
  readonly calls: readonly ScannedCall[];
  /** Why it could not be read to its end, or is no checkpoint. */
  readonly problem?: SafetensorsError;
}

export interface ScanOptions {
  /** Ends the scan, with its reason. */
  signal?: AbortSignal | undefined;
}

/** Enough to tell kinds of files apart. */
const START_BYTES = 512;

/** Names and calls that a report has: a pickle may have millions. */
const MOST_REPORTED = 1000;

const LIMIT = 'ERR_SAFETENSORS_CHECKPOINT_LIMIT';

/** Files that are looked at in folders whatever they begin with. */
const CHECKPOINT = /\.(bin|pt|pth|ckpt|pkl|pickle|p|dat|data|joblib|dill|th|tar)$/i;

/**
 * Says what Python would import and call if it loaded checkpoints, without doing any of it.
 *
 * @param path A file; or a folder, in which all files are looked at, and those in folders within: of these, every
 *   file that begins like a zip file, a pickle or an array of numpy, whatever it is called.
 * @throws {Error} of Node's own shape; the reason of the signal. A bad file is a verdict, not an error
 */
export async function scanCheckpoint(
  path: string | URL,
  options: ScanOptions = {},
): Promise<ScannedFile[]> {
  const checked = checkedPath(path);
  checkObject(options, 'options');
  const { signal } = options;
  checkSignal(signal);
  signal?.throwIfAborted();
  if (!(await kindOf(checked)).isDirectory()) return [await scanFile(checked, signal)];
  const scanned: ScannedFile[] = [];
  for await (const { name, error } of filesOfFolder(checked, signal)) {
    const report = await scanEntry(pathIn(checked, name), error, signal);
    if (report !== undefined) scanned.push(report);
  }
  return scanned;
}

/** A file of a folder, if it may be a checkpoint. What cannot be opened does not end the scan of the others. */
async function scanEntry(
  path: string,
  failure: unknown,
  signal: AbortSignal | undefined,
): Promise<ScannedFile | undefined> {
  try {
    if (failure !== undefined) throw failure;
    const isCheckpoint = CHECKPOINT.test(path);
    const start = await startOf(path);
    if (!isCheckpoint && !beginsLikeCheckpoint(start)) return undefined;
    const report = await scanFile(path, signal);
    const { problem, globals } = report;
    if (isCheckpoint || problem === undefined || globals.length > 0) return report;
    // What only happens to begin like a checkpoint, as a text may or a zip file of documents, names nothing.
    const isNone = beginsLikeZip(start)
      ? problem.code !== LIMIT
      : beginsLikeTar(start) || isNoPickle(start, problem.cause);
    return isNone ? undefined : report;
  } catch (error) {
    signal?.throwIfAborted();
    const message = `it cannot be read: ${error instanceof Error ? error.message : error}`;
    const problem = new SafetensorsError('NOT_A_CHECKPOINT', message, { path, cause: error });
    return reportOf(path, new Trace(), problem);
  }
}

async function scanFile(path: string, signal: AbortSignal | undefined): Promise<ScannedFile> {
  const trace = new Trace(signal);
  let problem: SafetensorsError | undefined;
  let opened: MappedCheckpoint;
  try {
    opened = await MappedCheckpoint.open(path);
  } catch (error) {
    return reportOf(path, trace, asProblem(error));
  }
  using file = opened;
  try {
    await traceDisguised(file, trace);
    const other = await scanOther(file, trace);
    if (other.known) return reportOf(path, trace, other.problem);
    problem = other.problem;
  } catch (error) {
    return reportOf(path, trace, asProblem(error));
  }
  let isCheckpoint = false;
  try {
    await readCheckpoint(file, trace);
    isCheckpoint = true;
  } catch (error) {
    problem ??= asProblem(error);
  }
  const others = await scanRecords(file, trace, isCheckpoint);
  return reportOf(path, trace, others?.code === LIMIT ? others : (problem ?? others));
}

/** Pickles of a zip file beside that of the checkpoint, if it `isOne`: other programs may load them. */
async function scanRecords(
  file: MappedCheckpoint,
  trace: Trace,
  isOne: boolean,
): Promise<SafetensorsError | undefined> {
  const { signal } = trace;
  const start = await file.read(0, Math.min(4, file.size));
  if (!beginsLikeZip(start)) return undefined;
  try {
    let problem: SafetensorsError | undefined;
    for (const { name, begin, end } of (await readZip(file, { signal })).values()) {
      signal?.throwIfAborted();
      const first = await file.read(begin, Math.min(begin + 2, end));
      const isPickle = /\.(pkl|pickle)$/i.test(name);
      // Data of tensors may begin with anything; only two bytes in a row are a sign.
      if (!isPickle && !(first[0] === 0x80 && first[1] <= 5 && !/\/data\/\d+$/.test(name)))
        continue;
      if (isOne && /^[^/]+\/data\.pkl$/.test(name)) continue;
      try {
        await new PickleStream(file, begin, end).next(trace);
      } catch (error) {
        problem ??= asProblem(error);
      }
    }
    return problem;
  } catch (error) {
    signal?.throwIfAborted();
    try {
      await salvagePickles(file, trace);
    } catch (limit) {
      return asProblem(limit);
    }
    return asProblem(error);
  }
}

function asProblem(error: unknown): SafetensorsError {
  if (error instanceof SafetensorsError) return error;
  throw error;
}

function reportOf(path: string, trace: Trace, problem: SafetensorsError | undefined): ScannedFile {
  const globals: ScannedGlobal[] = [];
  let verdict: ScanVerdict = problem === undefined ? 'safe' : 'unknown';
  for (const { global, listed } of trace.globals.values()) {
    const danger = listed ? undefined : dangerOf(global);
    if (danger !== undefined) verdict = 'dangerous';
    if (globals.length >= MOST_REPORTED) continue;
    globals.push({ name: globalText(global), listed, ...(danger === undefined ? {} : { danger }) });
  }
  const calls: ScannedCall[] = [];
  for (const { what, at } of trace.suspicions) {
    const danger = dangerOf(what);
    if (danger !== undefined) verdict = 'dangerous';
    else if (verdict === 'safe') verdict = 'unknown';
    if (!(what instanceof PyCall) || calls.length >= MOST_REPORTED) continue;
    calls.push({ call: describe(what), at, ...(danger === undefined ? {} : { danger }) });
  }
  return { path, verdict, globals, calls, ...(problem === undefined ? {} : { problem }) };
}

async function startOf(path: string): Promise<Buffer> {
  const file = await open(fullPathOf(path));
  try {
    const start = Buffer.alloc(START_BYTES);
    const { bytesRead } = await file.read(start, 0, start.length, 0);
    return start.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function beginsLikeCheckpoint(start: Buffer): boolean {
  return (
    beginsLikeGguf(start) ||
    beginsLikeNpy(start) ||
    beginsLikeZip(start) ||
    beginsLikeTar(start) ||
    beginsLikePickle(start)
  );
}
