import type { Dtype } from '../dtypes.ts';
import type { FilePlan } from './convert-file.ts';
import type { CheckedOptions } from './options.ts';
import { writtenShape } from './plan.ts';
import { writtenDtype } from './target.ts';
import type { OtherLeaf } from './tree.ts';
import { verifyOutput, type WorkOptions, writeOutput } from './write.ts';

/** A tensor of a checkpoint and of the file that it is written to. */
export interface ConvertedTensor {
  readonly name: string;
  /** As it is written. */
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

/** One file that was written, or would be. */
export interface ConvertedFile {
  readonly input: string;
  readonly output: string;
  /** Where in the checkpoint the tensors were. */
  readonly key: string;
  readonly tensors: readonly ConvertedTensor[];
  /** Bytes of the tensors, as they are written. */
  readonly byteLength: number;
  /** Names of tensors that are others under a second name, and the name that those are written under. */
  readonly links: ReadonlyMap<string, string>;
  /** What the same part of the checkpoint has besides tensors: a thousand at most. */
  readonly others: readonly OtherLeaf[];
  /** Keys of the other parts. */
  readonly leftOut: readonly string[];
  /** What the pickle would have had Python make, and was skipped: a thousand at most. */
  readonly skipped: readonly string[];
  /** How many more there are of both. */
  readonly omitted: { readonly others: number; readonly skipped: number };
  /** Whether it was there already, from the same checkpoint. */
  readonly kept: boolean;
}

/** What {@link convertCheckpoint} has written, or would. */
export interface Conversion {
  readonly files: readonly ConvertedFile[];
  /** The index of a model of several files. */
  readonly index?: string;
}

/** Writes a file, and compares it before it takes its place. */
export async function convertPlanned(
  plan: FilePlan,
  output: string,
  { fsync, verify }: CheckedOptions,
  work: WorkOptions,
): Promise<void> {
  const check = (temporary: string) => verifyOutput(plan, temporary, { ...work, shownAs: output });
  await writeOutput(plan, output, { ...work, fsync, ...(verify && { check }) });
}

/** Bytes of the tensors of a file, as they are written. */
export function bytesOf({ tensors, target }: FilePlan): number {
  return tensors.reduce((sum, { dtype, geometry }) => {
    const rounded = writtenDtype(dtype, target) !== dtype;
    const bytes = rounded ? (target === 'F32' ? 4 : 2) : geometry.elementBytes;
    return sum + geometry.elements * bytes;
  }, 0);
}

/** Counts what is written and what is compared, of `bytes` of tensors. */
export function progressOf(
  { signal, verify, onProgress }: CheckedOptions,
  bytes: number,
): WorkOptions {
  const totalBytes = verify ? 2 * bytes : bytes;
  let done = 0;
  const onBytes = (more: number) => {
    // Headers are written too.
    done = Math.min(done + more, totalBytes);
    onProgress?.({ bytes: done, totalBytes });
  };
  return { signal, onBytes };
}

export function convertedFile(
  plan: FilePlan,
  input: string,
  output: string,
  kept: boolean,
): ConvertedFile {
  const { key, links, leftOut, target } = plan;
  const { items: others, omitted: omittedOthers } = plan.others;
  const { items: skipped, omitted: omittedSkipped } = plan.skipped;
  const omitted = { others: omittedOthers, skipped: omittedSkipped };
  const tensors = plan.tensors.map((tensor) => ({
    name: tensor.name,
    dtype: writtenDtype(tensor.dtype, target),
    shape: writtenShape(tensor),
  }));
  const byteLength = bytesOf(plan);
  return {
    input,
    output,
    key,
    tensors,
    byteLength,
    links,
    others,
    leftOut,
    skipped,
    omitted,
    kept,
  };
}
