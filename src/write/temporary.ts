import { unlessAborted } from '../abort.ts';
import type { Hold, Storage } from '../storage/storage.ts';
import { AtomicFile, type AtomicFileOptions } from './atomic-file.ts';
import { chunksOf } from './chunks.ts';
import type { CheckedTensor } from './inputs.ts';
import { type LaneOptions, Lanes } from './lanes.ts';
import type { CheckedSaving } from './options.ts';
import type { FilePlan } from './plan.ts';
import { STEP_TENSORS, type Steps, withPauses } from './steps.ts';

/**
 * The first step of saving: writes a file whole under a temporary name, for the caller to publish or
 * to discard. When it fails, nothing is left behind.
 */
export async function writeTemporary(
  plan: FilePlan<CheckedTensor>,
  path: string,
  { fsync, signal, onProgress }: CheckedSaving,
  place: Pick<AtomicFileOptions, 'leavesFolder' | 'fullPath' | 'replacesLink'> = {},
): Promise<AtomicFile> {
  const { byteLength } = plan;
  signal?.throwIfAborted();
  const holds = holdSources(plan);
  let file: AtomicFile;
  try {
    file = await AtomicFile.create(path, { ...place, byteLength, fsync });
  } catch (error) {
    release(holds);
    throw error;
  }
  let bytes = 0;
  const aborted = () => signal?.aborted === true;
  const onWritten = (written: number) => {
    bytes += written;
    onProgress?.({ bytes, totalBytes: byteLength });
  };
  // The memory stays until no write is under way: after an abort, that is later than the failure.
  const writing = writeWhole(file, plan, holds, { onWritten, stopped: aborted }).finally(() =>
    release(holds),
  );
  try {
    await unlessAborted(writing, signal);
    return file;
  } catch (error) {
    await file.remove();
    const closing = file.discard();
    if (!aborted()) await closing;
    throw error;
  }
}

async function writeWhole(
  file: AtomicFile,
  plan: FilePlan<CheckedTensor>,
  holds: Holds,
  options: LaneOptions,
): Promise<void> {
  const lanes = new Lanes(file, options);
  await lanes.write(chunksOf(plan));
  if (options.stopped()) return;
  await withPauses(checkSources(plan, holds), undefined);
  if (options.stopped()) return;
  await file.seal();
}

/**
 * Memory that was moved or freed while the last writes were under way was not what they were to
 * write, nor are the zeros that took the place of lost pages. (The memory of mapped tensors is held.)
 */
function* checkSources({ tensors }: FilePlan<CheckedTensor>, holds: Holds): Steps<void> {
  for (let i = 0; i < tensors.length; i++) {
    const { source } = tensors[i];
    source.assertIntact(source.storage && holds.get(source.storage));
    if (i % STEP_TENSORS === 0) yield;
  }
}

type Holds = ReadonlyMap<Storage, Hold>;

function holdSources({ tensors }: FilePlan<CheckedTensor>): Holds {
  const holds = new Map<Storage, Hold>();
  for (const { source } of tensors) {
    const { storage } = source;
    if (storage && !holds.has(storage)) holds.set(storage, storage.hold());
  }
  return holds;
}

function release(holds: Holds): void {
  for (const hold of holds.values()) hold[Symbol.dispose]();
}
