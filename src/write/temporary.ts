import { unlessAborted } from '../abort.ts';
import { AtomicFile, withPath } from './atomic-file.ts';
import { chunksOf } from './chunks.ts';
import type { CheckedTensor } from './inputs.ts';
import { type LaneOptions, Lanes } from './lanes.ts';
import type { CheckedSaving } from './options.ts';
import type { FilePlan } from './plan.ts';

/**
 * The first step of saving: writes a file whole under a temporary name, for the caller to publish or
 * to discard. When it fails, nothing is left behind.
 */
export async function writeTemporary(
  plan: FilePlan<CheckedTensor>,
  path: string,
  { fsync, signal, onProgress }: CheckedSaving,
  leavesFolder = false,
): Promise<AtomicFile> {
  const { byteLength } = plan;
  signal?.throwIfAborted();
  const holds = holdSources(plan);
  let file: AtomicFile;
  try {
    file = await AtomicFile.create(path, { byteLength, fsync, leavesFolder });
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
  const writing = writeWhole(file, plan, { onWritten, stopped: aborted }).finally(() =>
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
  options: LaneOptions,
): Promise<void> {
  const lanes = new Lanes(file.handle, options);
  await withPath(file.path, () => lanes.write(chunksOf(plan)));
  if (options.stopped()) return;
  checkSources(plan);
  await file.seal();
}

/**
 * Memory that was moved or freed while the last writes were under way was not what they were to
 * write. (That of mapped tensors is held.)
 */
function checkSources({ tensors }: FilePlan<CheckedTensor>): void {
  for (const { source } of tensors) {
    if (source.storage === undefined && source.byteLength > 0) source.bytes(0, 1);
  }
}

function holdSources({ tensors }: FilePlan<CheckedTensor>): Disposable[] {
  const storages = new Set(tensors.map(({ source }) => source.storage));
  const holds: Disposable[] = [];
  for (const storage of storages) if (storage) holds.push(storage.hold());
  return holds;
}

function release(holds: readonly Disposable[]): void {
  for (const hold of holds) hold[Symbol.dispose]();
}
