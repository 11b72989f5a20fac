import { InvalidArgumentError } from 'commander';
import { EXIT_FAILURE, exitOfSignal } from './exit-codes.ts';
import { describeFailure } from './failure.ts';
import { Interruption, interruptible } from './interruption.ts';
import { printError } from './terminal.ts';

/** What a model may be given as. */
export const MODEL_ARGUMENT = 'a file, the folder of a model, or its index';

/** Text for the end of a command's help. */
export function examples(...lines: string[]): string {
  return ['', 'Examples:', ...lines.map((line) => `  $ safetensors ${line}`)].join('\n');
}

/** Where a command writes to: an empty path is a variable of a shell that is not set. */
export function outputPath(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must be a path.');
  return text;
}

/** What the command that runs ends with when it fails. */
let exitWhereItFails = EXIT_FAILURE;

/** The exit code for a failure outside of a command's own work, as to write what it has found. */
export function exitOfFailure(): number {
  return exitWhereItFails;
}

/**
 * Runs a command, and says in one line what went wrong.
 *
 * @param path The file that an error is about which names none.
 * @param work Returns the exit code.
 */
export async function run(
  path: string,
  work: (signal: AbortSignal) => Promise<number>,
  exitCode = EXIT_FAILURE,
): Promise<void> {
  exitWhereItFails = exitCode;
  try {
    process.exitCode = await interruptible(work);
  } catch (error) {
    if (error instanceof Interruption) {
      process.exitCode = exitOfSignal(error.signal);
      return;
    }
    printError(describe(error, path));
    process.exitCode = exitCode;
  }
}

function describe(error: unknown, path: string): string {
  try {
    return describeFailure(error, path);
  } catch {
    // It has no code: misuse, which says for itself what is wrong.
    return error instanceof Error ? error.message : String(error);
  }
}
