import { checkedPath, fullPathOf } from '../path.ts';
import { type CheckedTensor, checkTensors, type TensorsLike } from './inputs.ts';
import { type CheckedLayout, layoutOptions, type SaveOptions, savingOptions } from './options.ts';
import { type FilePlan, planFile } from './plan.ts';
import { type Steps, withPauses } from './steps.ts';
import { writeTemporary } from './temporary.ts';

/**
 * Saves tensors as a safetensors file, which is there whole or not at all: written beside `path`
 * under another name, put on the disk, and renamed. Whatever goes wrong until then, the file that was
 * there stays as it was. Last, the folder is put on the disk: if that fails, the new file is in place, and
 * may be lost with the power; that error alone has the folder as its `path`. A symbolic link is followed;
 * permissions are those of the file that is replaced, or those that the umask gives.
 *
 * The bytes are written from where they are, on other threads: do not change them meanwhile. Tensors
 * of open files are not read into the JavaScript heap; saving over the very file that they are of is
 * fine. A container that is closed meanwhile ends the saving with CLOSED.
 *
 * A process that is killed leaves `.safetensors-mmap-*.tmp` behind, which may be removed.
 *
 * @param path A path or a `file:` URL.
 * @throws {TypeError}, {RangeError} for what a safetensors file cannot hold, before anything is
 *   written: dtypes, shapes, lengths of data, names twice or called `__metadata__`, metadata that is no
 *   text, lone surrogates, a header over 100,000,000 bytes
 * @throws {SafetensorsError} CLOSED; FILE_CHANGED when a file that tensors are mapped from was cut
 *   short; NOT_SAFETENSORS when the path leads to a FIFO, a socket or a device
 * @throws {Error} of Node's own shape (`code: 'ENOSPC'`) for what the file system refuses
 * @throws the reason of `signal`, and whatever `tensors` and `onProgress` throw
 */
export async function saveFile(
  tensors: TensorsLike,
  path: string | URL,
  options?: SaveOptions,
): Promise<void> {
  const target = checkedPath(path);
  // As the working directory of now has it.
  const fullPath = fullPathOf(target);
  const layout = layoutOptions(options);
  const saving = savingOptions(options);
  saving.signal?.throwIfAborted();
  const plan = await withPauses(planTensors(tensors, layout), saving.signal);
  const file = await writeTemporary(plan, target, saving, { fullPath });
  try {
    saving.signal?.throwIfAborted();
    await file.publish();
  } catch (error) {
    await file.discard();
    throw error;
  }
}

function* planTensors(tensors: TensorsLike, layout: CheckedLayout): Steps<FilePlan<CheckedTensor>> {
  return yield* planFile(yield* checkTensors(tensors), layout);
}
