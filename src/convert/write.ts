import { open } from 'node:fs/promises';
import { withPath } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { createWriter, SafetensorsError, safeOpen, type WriteProgress } from '../index.ts';
import type { MappedCheckpoint } from './mapped-checkpoint.ts';
import { copiesOf, type Passage, PIECE_BYTES, piecesOf } from './pieces.ts';
import { type CheckpointTensor, writtenShape } from './plan.ts';
import { type TargetDtype, writtenDtype } from './target.ts';

/** What rounding makes of a piece at most: F16 to F32. */
const MOST_GROWTH = 2;

/** Tensors that are on their way at once. */
const LANES = 4;

/** A safetensors file that is to be made of a checkpoint. */
export interface OutputPlan {
  readonly file: MappedCheckpoint;
  readonly tensors: readonly CheckpointTensor[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly target: TargetDtype | undefined;
}

export interface WorkOptions {
  readonly signal: AbortSignal | undefined;
  /** Called with bytes of tensors that are done. */
  readonly onBytes: (bytes: number) => void;
}

interface WriteOptions extends WorkOptions {
  readonly fsync: boolean;
  /** Looks at the file before it takes its place, under the name that it has until then. */
  readonly check?: (temporary: string) => Promise<void>;
}

/** Writes the file, whole or not at all. */
export async function writeOutput(
  plan: OutputPlan,
  path: string,
  { signal, onBytes, fsync, check }: WriteOptions,
): Promise<void> {
  const { tensors, metadata, target } = plan;
  const specs = tensors.map(
    (tensor) =>
      [
        tensor.name,
        { dtype: writtenDtype(tensor.dtype, target), shape: writtenShape(tensor) },
      ] as const,
  );
  let last = 0;
  const onProgress = ({ bytes }: WriteProgress) => {
    onBytes(bytes - last);
    last = bytes;
  };
  await using writer = await createWriter(path, specs, { metadata, fsync, signal, onProgress });
  await forEachTensor(plan, async (passage, scratch) => {
    try {
      await writer.write(passage.tensor.name, piecesOf(passage, scratch));
    } catch (error) {
      // The writer has views, and does not know of which file.
      if (isChanged(error) && error.path === undefined) {
        plan.file.assertIntact({ tensor: error.tensor, cause: error });
      }
      throw error;
    }
  });
  plan.file.check();
  let checking: Promise<void> | undefined;
  try {
    await writer.finishChecked(async (temporary) => {
      checking = check?.(temporary);
      await checking;
    });
  } finally {
    // The checkpoint stays open as long as it is read from.
    await checking?.catch(() => {});
  }
}

function isChanged(error: unknown): error is SafetensorsError {
  return error instanceof SafetensorsError && error.code === 'ERR_SAFETENSORS_FILE_CHANGED';
}

/**
 * Compares a file with what it was made of, every byte of every tensor.
 *
 * @param options `shownAs` is its name in messages.
 * @throws {SafetensorsError} CONVERSION_MISMATCH
 */
export async function verifyOutput(
  plan: OutputPlan,
  path: string,
  { signal, onBytes, shownAs = path }: WorkOptions & { shownAs?: string },
): Promise<void> {
  const differs = (tensor: string | undefined, what: string) =>
    new SafetensorsError('CONVERSION_MISMATCH', what, { path: shownAs, tensor });
  // Its own name is gone by the time that anybody reads it.
  const named = <T>(action: () => Promise<T>) => withPath(shownAs, action);
  using output = await named(() => safeOpen(path)).catch((error) => {
    throw error instanceof SafetensorsError ? differs(undefined, error.message) : error;
  });
  if (output.size !== plan.tensors.length) {
    throw differs(undefined, `expected ${plan.tensors.length} tensors, found ${output.size}`);
  }
  const dataStart = output.byteLength - dataBytesOf(output);
  const file = await named(() => open(path));
  try {
    await forEachTensor(plan, async (passage, scratch, found) => {
      const { name, dtype } = passage.tensor;
      const info = output.has(name) ? output.info(name) : undefined;
      const expected = writtenDtype(dtype, passage.target);
      if (info?.dtype !== expected || `${info.shape}` !== `${writtenShape(passage.tensor)}`) {
        throw differs(name, `tensor ${quoteName(name)}: another dtype or shape than was written`);
      }
      let at = dataStart + info.dataOffsets[0];
      for await (const piece of copiesOf(passage, scratch)) {
        signal?.throwIfAborted();
        const there = found.subarray(0, piece.length);
        const { bytesRead } = await named(() => file.read(there, 0, there.length, at));
        if (bytesRead !== piece.length || !there.equals(piece)) {
          throw differs(name, `tensor ${quoteName(name)}: other bytes than were written`);
        }
        at += piece.length;
        onBytes(piece.length);
      }
    });
  } finally {
    await file.close();
  }
}

function dataBytesOf(output: {
  keys(): Iterable<string>;
  info(name: string): { dataOffsets: readonly [number, number] };
}): number {
  let end = 0;
  for (const name of output.keys()) end = Math.max(end, output.info(name).dataOffsets[1]);
  return end;
}

/** Works on a few tensors at once, in the order in which they lie in the file; ends with the first failure. */
async function forEachTensor(
  { file, tensors, target }: OutputPlan,
  work: (passage: Passage, scratch: Buffer, found: Buffer) => Promise<void>,
): Promise<void> {
  const position = ({ place, geometry }: CheckpointTensor) => place.begin + geometry.begin;
  const inOrder = [...tensors].sort((a, b) => position(a) - position(b));
  let next = 0;
  let failed = false;
  const lane = async () => {
    // Neither takes memory before it is written to.
    const scratch = Buffer.allocUnsafeSlow(PIECE_BYTES);
    const found = Buffer.allocUnsafeSlow(MOST_GROWTH * PIECE_BYTES);
    try {
      while (next < inOrder.length && !failed) {
        await work({ file, tensor: inOrder[next++], target }, scratch, found);
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: LANES }, lane));
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}
