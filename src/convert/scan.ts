import { open } from 'node:fs/promises';
import { checkObject, checkSignal } from '../arguments.ts';
import { escapeText } from '../escape.ts';
import { SafetensorsError } from '../index.ts';
import { checkedPath, fullPathOf, pathIn } from '../path.ts';
import { readCheckpoint } from './checkpoint.ts';
import { isNoPickle, traceDisguised } from './disguised.ts';
import { filesOfFolder } from './files-of-folder.ts';
import { beginsLikeGguf } from './gguf/gguf.ts';
import { kindOf } from './kind-of-path.ts';
import { MappedCheckpoint } from './mapped-checkpoint.ts';
import { beginsLikeNpy } from './numpy/npy.ts';
import { scanOther } from './other-formats.ts';
import { Trace } from './pickle/trace.ts';
import { reportOf, type ScannedFile } from './report.ts';
import { LIMIT } from './scan-limits.ts';
import { asProblem, scanRecords } from './scan-records.ts';
import { beginsLikePickle, beginsLikeZip, START_BYTES } from './signatures.ts';
import { beginsLikeTar } from './tar-records.ts';

export interface ScanOptions {
  /** Ends the scan, with its reason. */
  signal?: AbortSignal | undefined;
}

/** Files that are looked at in folders whatever they begin with. */
const CHECKPOINT = /\.(bin|pt|pth|ckpt|pkl|pickle|p|dat|data|joblib|dill|th|tar)$/i;

/**
 * Says what Python would import and call if it loaded checkpoints, without doing any of it.
 *
 * @param path A file; or a folder, in which all files are looked at, and those in folders within: of these, every
 *   file that begins like a zip or tar file, a pickle, a GGUF file or an array of numpy, whatever it is called, and every
 *   one that is called as a checkpoint is.
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
  if (!(await kindOf(checked)).isDirectory()) {
    return [(await examine(checked, signal)).report];
  }
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
    const { report, hasPickles } = await examine(path, signal);
    const { problem, globals } = report;
    if (isCheckpoint || problem === undefined || globals.length > 0) return report;
    // What only happens to begin like a checkpoint, as a text may or an archive of documents, names nothing.
    const isNone =
      beginsLikeZip(start) || beginsLikeTar(start)
        ? !hasPickles && problem.code !== LIMIT
        : isNoPickle(start, problem.cause);
    return isNone ? undefined : report;
  } catch (error) {
    signal?.throwIfAborted();
    const message = `it cannot be read: ${error instanceof Error ? error.message : error}`;
    const problem = new SafetensorsError('NOT_A_CHECKPOINT', message, { path, cause: error });
    return reportOf(path, new Trace(), problem);
  }
}

interface Examined {
  readonly report: ScannedFile;
  /** Whether it has pickles that PyTorch would read, though it is not right. */
  readonly hasPickles: boolean;
}

async function examine(path: string, signal: AbortSignal | undefined): Promise<Examined> {
  const trace = new Trace(signal);
  const said = (why: SafetensorsError | undefined, hasPickles = false) => ({
    report: reportOf(path, trace, why),
    hasPickles,
  });
  let problem: SafetensorsError | undefined;
  let opened: MappedCheckpoint;
  try {
    opened = await MappedCheckpoint.open(path);
  } catch (error) {
    return said(asProblem(error));
  }
  using file = opened;
  try {
    await traceDisguised(file, trace);
    const other = await scanOther(file, trace);
    if (other.known) return said(other.problem);
    problem = other.problem;
  } catch (error) {
    return said(asProblem(error));
  }
  let isCheckpoint = false;
  try {
    await readCheckpoint(file, trace);
    isCheckpoint = true;
  } catch (error) {
    problem ??= asProblem(error);
  }
  const others = await scanRecords(file, trace, isCheckpoint);
  const limited = others.problem?.code === LIMIT;
  const both = limited && problem ? limitAfter(problem, others.problem) : undefined;
  return said(both ?? problem ?? others.problem, others.hasPickles);
}

/** What is wrong with a file, and that it was not looked at as a whole. */
function limitAfter(problem: SafetensorsError, limit: SafetensorsError | undefined) {
  const { path } = problem;
  const [why, what] = [problem, limit].map((error) =>
    error?.message.replace(`${escapeText(path ?? '')}: `, ''),
  );
  const { cause } = problem;
  return new SafetensorsError('CHECKPOINT_LIMIT', `${why}; ${what}`, { path, cause });
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
