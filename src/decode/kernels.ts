import { inspect } from 'node:util';
import type { Dtype } from '../dtypes.ts';
import { native } from '../native.ts';

const VARIABLE = 'SAFETENSORS_MMAP_KERNELS';

let chosen: number | undefined;

/**
 * The kernels that do the work: the best that the processor has, or those that the environment
 * variable `SAFETENSORS_MMAP_KERNELS` names; the same from the first call on.
 *
 * @throws {RangeError} for a name that there are no kernels of, or that the processor cannot run
 */
export function kernelSet(): number {
  chosen ??= choose(process.env[VARIABLE], native().kernelSets);
  return chosen;
}

function choose(wanted: string | undefined, sets: readonly string[]): number {
  if (wanted === undefined || wanted === '') return 0;
  const index = sets.indexOf(wanted);
  if (index >= 0) return index;
  throw new RangeError(
    `${VARIABLE}: expected kernels that this build has and this processor can run ` +
      `(${sets.join(', ')}), found ${inspect(wanted)}`,
  );
}

let formats: ReadonlyMap<string, number> | undefined;

/** What the kernels call a dtype; `undefined` when there are none for it. */
export function kernelFormat(dtype: Dtype): number | undefined {
  formats ??= new Map(native().kernelFormats.map((name, index) => [name, index]));
  return formats.get(dtype);
}
