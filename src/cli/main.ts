#!/usr/bin/env node
import { CommanderError } from 'commander';
import { exitOfFailure } from './command.ts';
import { EXIT_FAILURE, EXIT_MISUSE, EXIT_OK, exitOfSignal } from './exit-codes.ts';
import { program } from './program.ts';
import { printError } from './terminal.ts';

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read has read enough: `safetensors inspect … | head -1`. Node ignores the signal.
  if (error.code === 'EPIPE') process.exit(exitOfSignal('SIGPIPE'));
  printError(`standard output: ${error.message}`);
  process.exit(exitOfFailure());
});
process.stderr.on('error', () => {});

try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT_OK : EXIT_MISUSE;
  } else {
    printError(error instanceof Error ? error.message : String(error));
    process.exitCode = EXIT_FAILURE;
  }
}
