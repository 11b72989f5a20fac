/**
 * Bounds of what one pickle may cost, whatever it says. State dicts of the largest models have some
 * ten thousand tensors in a file, at about 200 bytes each; optimizer states, three times that.
 */
export const MOST_PICKLE_BYTES = 256 * 2 ** 20;

/**
 * Units of work: one for each instruction and each value that is put anywhere, more for what takes
 * memory of its own. A tensor takes about 160; at 25 bytes a unit at worst, this is under a gigabyte.
 */
export const MOST_WORK = 24_000_000;

/**
 * The same for all pickles of a file: those that lie beside that of a checkpoint are looked at too, and there may be any
 * number of them.
 */
export const MOST_WORK_OF_FILE = 4 * MOST_WORK;

/** What a pickle costs by itself: there may be millions of a few bytes each in a file. */
export const PICKLE_WORK = 128;

/** What a container, a string or a call costs. */
export const OBJECT_WORK = 8;

/** Values on the stack at once; marks too. CPython's own pickler stays under a thousand or so. */
export const MOST_STACK = 4_000_000;

/** Bytes of an integer: those that PyTorch writes have ten. */
export const MOST_INTEGER_BYTES = 1024;

/** Characters of a line of protocol 0. */
export const MOST_LINE_BYTES = 64 * 1024;

/** Dimensions of a tensor, as PyTorch's own limit. */
export const MOST_DIMENSIONS = 64;

/** Of what is not on the list, calls and names that are kept: pickles with more are refused. */
export const MOST_SUSPICIONS = 100_000;
