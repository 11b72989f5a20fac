import type { FilePlan, PlanOptions } from './convert-file.ts';
import { beginsLikeGguf, readGguf } from './gguf/gguf.ts';
import { MappedCheckpoint } from './mapped-checkpoint.ts';
import { beginsLikeNpy } from './numpy/npy.ts';
import { isNpz, readNpy, readNpz } from './numpy/numpy.ts';
import { planList, type TensorList } from './tensor-list.ts';

/**
 * Plans the conversion of a file that is no checkpoint of PyTorch: an array or several of numpy, or a GGUF file. What
 * it is is told from how it begins, not from its name.
 *
 * @returns `undefined` for any other file; else the caller disposes of `checkpoint`.
 */
export async function planOther(path: string, options: PlanOptions): Promise<FilePlan | undefined> {
  const file = await MappedCheckpoint.open(path);
  let plan: FilePlan | undefined;
  try {
    const list = await listOf(file, options.signal);
    plan = list === undefined ? undefined : planList(file, list, options);
    return plan;
  } finally {
    if (plan === undefined) file.close();
  }
}

async function listOf(
  file: MappedCheckpoint,
  signal: AbortSignal | undefined,
): Promise<TensorList | undefined> {
  const start = await file.read(0, Math.min(4, file.size));
  if (beginsLikeGguf(start)) return readGguf(file, signal);
  if (beginsLikeNpy(start)) return readNpy(file);
  if (await isNpz(file, start)) return readNpz(file, signal);
  return undefined;
}
