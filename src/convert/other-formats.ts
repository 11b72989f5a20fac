import { SafetensorsError } from '../index.ts';
import type { FilePlan, PlanOptions } from './convert-file.ts';
import { beginsLikeGguf, readGguf } from './gguf/gguf.ts';
import type { MappedCheckpoint } from './mapped-checkpoint.ts';
import { beginsLikeNpy } from './numpy/npy.ts';
import { isNpz, NAMELESS, readNpy, readNpz } from './numpy/numpy.ts';
import { scanNpy, scanNpz } from './numpy/scan.ts';
import type { Trace } from './pickle/trace.ts';
import { planList, type TensorList } from './tensor-list.ts';

/** Enough to tell them apart. */
const START_BYTES = 4;

/**
 * Plans the conversion of a file that is no checkpoint of PyTorch: an array or several of numpy, or a GGUF file. What
 * it is is told from how it begins, not from its name.
 *
 * @returns `undefined` for any other file.
 */
export async function planOther(
  file: MappedCheckpoint,
  options: PlanOptions,
): Promise<FilePlan | undefined> {
  const list = await listOf(file, options.signal);
  return list === undefined ? undefined : planList(file, list, options);
}

/**
 * What loading such a file with Python would run: the pickles of arrays of objects, into `trace`.
 *
 * @returns Whether it is such a file and no other, and why it cannot be read to its end.
 * @throws {SafetensorsError} for that too, unless it is a zip file
 */
export async function scanOther(
  file: MappedCheckpoint,
  trace: Trace,
): Promise<{ known: boolean; problem?: SafetensorsError | undefined }> {
  const start = await file.read(0, Math.min(START_BYTES, file.size));
  if (beginsLikeGguf(start)) await readGguf(file, trace.signal);
  else if (beginsLikeNpy(start)) await scanNpy(file, NAMELESS, trace);
  else if (await isNpz(file, start)) {
    try {
      const { onlyArrays, problem } = await scanNpz(file, trace);
      return { known: onlyArrays, problem };
    } catch (error) {
      // Of a malformed zip file nobody knows what others take it for.
      if (error instanceof SafetensorsError) return { known: false, problem: error };
      throw error;
    }
  } else return { known: false };
  return { known: true };
}

async function listOf(
  file: MappedCheckpoint,
  signal: AbortSignal | undefined,
): Promise<TensorList | undefined> {
  const start = await file.read(0, Math.min(START_BYTES, file.size));
  if (beginsLikeGguf(start)) return readGguf(file, signal);
  if (beginsLikeNpy(start)) return readNpy(file);
  if (await isNpz(file, start)) return readNpz(file, signal);
  return undefined;
}
