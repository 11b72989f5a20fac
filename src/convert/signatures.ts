/** Enough of a file to tell kinds of checkpoints apart: the first block of a tar file. */
export const START_BYTES = 512;

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
