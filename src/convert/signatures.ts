/** Enough of a file to tell kinds of checkpoints apart: the first block of a tar file. */
export const START_BYTES = 512;

/** The longest header that the reference reads of a safetensors file. */
const MOST_HEADER_BYTES = 100_000_000n;

/** How safetensors files begin: with the length of their header, which is an object of JSON. */
export function beginsLikeSafetensors(start: Buffer): boolean {
  const isObject = start.toString('latin1', 8, 9) === '{';
  return isObject && start.readBigUInt64LE(0) <= MOST_HEADER_BYTES;
}

/** How zip files begin. */
export function beginsLikeZip(start: Buffer): boolean {
  return start.toString('latin1', 0, 4) === 'PK\x03\x04';
}

/**
 * How pickles begin: protocols 2 and later with their number, older ones with an instruction that leaves
 * something on the stack.
 */
export function beginsLikePickle(start: Buffer): boolean {
  const [first, second] = start;
  if (first === 0x80) return second <= 5;
  return /^[()\]}cBCFGIJKLMNSTUVX\x85-\x8f\x95\x96]/.test(start.toString('latin1', 0, 1));
}
