import { constants } from 'node:os';

/** What a command ends with; see `--help`. */
export const EXIT_OK = 0;
/** A file is bad or cannot be used, or nothing matched. */
export const EXIT_FAILURE = 1;
/** `diff`, as diff and grep have it. */
export const EXIT_DIFFERENT = 1;
export const EXIT_MISUSE = 2;
/** `scan` found what is known to do harm. */
export const EXIT_DANGEROUS = 3;
/** `diff` could not compare. */
export const EXIT_TROUBLE = 2;

/** What a shell reports of a process that a signal ended. */
export function exitOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}
