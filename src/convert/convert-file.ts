import { quoteName } from '../escape.ts';
import { SafetensorsError } from '../index.ts';
import { Checkpoint, readCheckpoint } from './checkpoint.ts';
import { dangerOf } from './dangers.ts';
import { describe } from './describe.ts';
import { traceDisguised } from './disguised.ts';
import { Listed } from './listed.ts';
import { MappedCheckpoint } from './mapped-checkpoint.ts';
import { namer } from './names.ts';
import { planOther } from './other-formats.ts';
import { type Suspicion, Trace } from './pickle/trace.ts';
import { PyArray, PyCall } from './pickle/values.ts';
import { type CheckpointTensor, planTensor, unsupportedArray } from './plan.ts';
import { unshare } from './shared.ts';
import type { TargetDtype } from './target.ts';
import { flatten, type OtherLeaf } from './tree.ts';
import type { OutputPlan } from './write.ts';

/**
 * Bytes that the tensors of one file may have over those of their storages. Views with a stride of 0,
 * or many of one storage, are large tensors in a small file: one of a few hundred bytes could fill any
 * disk.
 */
export const MOST_EXTRA_BYTES = 2 ** 30;

export interface PlanOptions {
  readonly key: string | undefined;
  readonly stripPrefix: string | undefined;
  readonly skipUnknown: boolean;
  readonly target: TargetDtype | undefined;
  readonly metadata: ReadonlyMap<string, string>;
  readonly signal: AbortSignal | undefined;
}

/** What is to become of a checkpoint. */
export interface FilePlan extends OutputPlan {
  /** What is to be disposed of. */
  readonly checkpoint: Disposable;
  readonly key: string;
  readonly links: ReadonlyMap<string, string>;
  readonly others: Listed<OtherLeaf>;
  readonly leftOut: readonly string[];
  /** What the pickle would have called, and arrays of other dtypes, which were skipped. */
  readonly skipped: Listed<string>;
}

/** Opens a checkpoint and plans its conversion; the caller disposes of `checkpoint`. */
export async function planFile(path: string, options: PlanOptions): Promise<FilePlan> {
  const trace = new Trace(options.signal);
  const file = await MappedCheckpoint.open(path);
  try {
    await traceDisguised(file, trace);
    refuseDangers(trace, path);
    const other = await planOther(file, options);
    if (other !== undefined) return other;
    const contents = await readCheckpoint(file, trace).catch((error) => {
      // A pickle that breaks off may have had its effect before.
      refuseDangers(trace, path, error);
      throw error;
    });
    return plan(new Checkpoint(file, contents, trace), options);
  } catch (error) {
    file.close();
    throw error;
  }
}

function plan(checkpoint: Checkpoint, options: PlanOptions): FilePlan {
  const { file, contents } = checkpoint;
  const skipped = checkSuspicions(checkpoint.trace, file.path, options.skipUnknown);
  const flattened = flatten(contents.root, options.key, file.path);
  const planned: CheckpointTensor[] = [];
  const nameOf = namer(file.path, options.stripPrefix);
  for (const [found, leaf] of flattened.tensors) {
    const unsupported = leaf instanceof PyArray ? unsupportedArray(leaf) : undefined;
    if (options.skipUnknown && unsupported !== undefined) {
      skipped.add(() => `${quoteName(found)} (${unsupported})`);
    } else planned.push(planTensor(nameOf(found), leaf, checkpoint));
  }
  if (planned.length === 0) {
    const message = 'no tensors were found in the checkpoint';
    throw new SafetensorsError('NO_TENSORS', message, { path: file.path });
  }
  const metadata = new Map([['format', 'pt'], ...options.metadata]);
  const { tensors, links } = unshare(planned, file.path, new Set(metadata.keys()));
  checkSize(tensors, file.path);
  return {
    checkpoint,
    file,
    tensors,
    links,
    target: options.target,
    // As the reference's converter has it: a dropped name, and the one that stands for it.
    metadata: new Map([...metadata, ...links]),
    key: flattened.key,
    others: flattened.others,
    leftOut: flattened.leftOut,
    skipped,
  };
}

/**
 * What the pickle would have had Python do besides making tensors.
 *
 * @throws {SafetensorsError} UNSAFE_PICKLE, unless that may be skipped
 */
function checkSuspicions(trace: Trace, path: string, skipUnknown: boolean): Listed<string> {
  refuseDangers(trace, path);
  const skipped = new Listed<string>();
  const [first] = trace.suspicions.filter(isCall).concat(trace.suspicions);
  if (first === undefined) return skipped;
  if (skipUnknown) {
    for (const { what } of trace.suspicions) skipped.add(() => describe(what));
    return skipped;
  }
  const message =
    `the pickle names what tensors do not need: ${describe(first.what)}, at its byte ${first.at}. It was ` +
    'not called; skipUnknown (--skip-unknown) leaves it out';
  throw new SafetensorsError('UNSAFE_PICKLE', message, { path });
}

/** @throws {SafetensorsError} UNSAFE_PICKLE, naming the call with its arguments where there is one */
function refuseDangers({ suspicions }: Trace, path: string, cause?: unknown): void {
  const dangerous = suspicions.filter(({ what }) => dangerOf(what) !== undefined);
  const [first] = dangerous.filter(isCall).concat(dangerous);
  if (first === undefined) return;
  const { what, at } = first;
  const message = `the pickle would have Python run ${describe(what)}, at its byte ${at}: ${dangerOf(what)}. It was not run`;
  throw new SafetensorsError('UNSAFE_PICKLE', message, { path, cause });
}

function isCall({ what }: Suspicion): boolean {
  return what instanceof PyCall;
}

function checkSize(tensors: readonly CheckpointTensor[], path: string): void {
  const storages = new Map<string, number>();
  let bytes = 0;
  for (const { geometry, place } of tensors) {
    bytes += geometry.elements * geometry.elementBytes;
    storages.set(place.key, place.byteLength);
  }
  for (const byteLength of storages.values()) bytes -= byteLength;
  if (bytes <= MOST_EXTRA_BYTES) return;
  const message = `its tensors have ${bytes} bytes more than what they are views of`;
  throw new SafetensorsError('CHECKPOINT_LIMIT', message, { path });
}
