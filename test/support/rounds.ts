/** How many times less a test repeats itself where it has been run in full before. */
const LESS = process.env.SAFETENSORS_MMAP_FEWER_ROUNDS === undefined ? 1 : 10;

/**
 * Rounds of a test that repeats itself: `full` of them, or a tenth where
 * `SAFETENSORS_MMAP_FEWER_ROUNDS` is set, as the Node matrix does after `npm test`.
 */
export function rounds(full: number): number {
  return Math.ceil(full / LESS);
}

/**
 * Every how many-th of a row of cases is tried: each, or every third where
 * `SAFETENSORS_MMAP_FEWER_ROUNDS` is set.
 */
export const STRIDE = LESS === 1 ? 1 : 3;
