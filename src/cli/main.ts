#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { escapeText } from '../escape.ts';
import { failureOf } from './failure.ts';
import { type InspectOptions, inspect } from './inspect.ts';
import { SORT_KEYS } from './listing.ts';
import { escapeMessage } from './text.ts';
import { type VerifyOptions, verify } from './verify.ts';

const EXIT_FAILURE = 1;
const EXIT_MISUSE = 2;
/** What a shell reports of a process that SIGPIPE ended: Node ignores that signal. */
const EXIT_SIGPIPE = 128 + 13;

const { version }: { version: string } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // Whoever read has read enough: `safetensors inspect … | head -1`.
  if (error.code === 'EPIPE') process.exit(EXIT_SIGPIPE);
  printError(`standard output: ${error.message}`);
  process.exit(EXIT_FAILURE);
});
process.stderr.on('error', () => {});

try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : EXIT_MISUSE;
  else {
    printError(error instanceof Error ? error.message : String(error));
    process.exitCode = EXIT_FAILURE;
  }
}

function program(): Command {
  const command = new Command('safetensors')
    .description('Look into .safetensors files, and verify them. Reads headers only, not the data.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .configureOutput({ outputError: (text, write) => write(`${escapeLines(text)}\n`) })
    .showHelpAfterError('(safetensors --help shows what there is)')
    .exitOverride()
    .addHelpText('after', examples('inspect model.safetensors', 'verify *.safetensors'));
  addInspect(command);
  addVerify(command);
  return command;
}

function addInspect(parent: Command): void {
  parent
    .command('inspect')
    .summary('list the tensors of a file')
    .description(
      'List the tensors of a file: name, dtype, shape, bytes, offsets into the data, and whether ' +
        'they can be used in place. Ends with totals by dtype, and the metadata.',
    )
    .argument('<file>', 'a .safetensors file')
    .option('-t, --tree', 'sum parameters and bytes by module path')
    .addOption(
      new Option('-d, --depth <n>', 'show no more than n levels; implies --tree')
        .argParser(positiveInteger)
        .implies({ tree: true }),
    )
    .option(
      '-f, --filter <glob>',
      'only tensors whose names match; may be repeated, and "!glob" leaves out',
      (glob: string, globs: string[] = []) => [...globs, glob],
    )
    .addOption(new Option('-s, --sort <key>', 'order: size is largest first').choices(SORT_KEYS))
    .option('-r, --reverse', 'reverse the order')
    .option('-j, --json', 'print JSON')
    .addHelpText(
      'after',
      examples(
        'inspect model.safetensors --tree --depth 3',
        'inspect model.safetensors --sort size | head -20',
        "inspect model.safetensors --filter '*.mlp.*' --filter '!*.bias'",
        'inspect model.safetensors --json | jq .totals',
      ),
    )
    .action(async (path: string, options: InspectOptions) => {
      try {
        process.exitCode = await inspect(path, options);
      } catch (error) {
        const { code, reason } = failureOf(error, path);
        printError(`${code} ${escapeText(path)}: ${reason}`);
        process.exitCode = EXIT_FAILURE;
      }
    });
}

function addVerify(parent: Command): void {
  parent
    .command('verify')
    .summary('check files against every rule of the format')
    .description(
      'Check files against every rule of the format. Exit code 0: all are good; 1: one is bad, or ' +
        'cannot be opened; 2: wrong usage.',
    )
    .argument('<file...>', '.safetensors files')
    .option('-q, --quiet', 'print bad files only')
    .addOption(new Option('-j, --json', 'print JSON').conflicts('quiet'))
    .addHelpText(
      'after',
      examples('verify *.safetensors', 'verify --quiet *.safetensors && echo good'),
    )
    .action(async (paths: string[], options: VerifyOptions) => {
      process.exitCode = await verify(paths, options);
    });
}

function examples(...lines: string[]): string {
  return ['', 'Examples:', ...lines.map((line) => `  $ safetensors ${line}`)].join('\n');
}

function positiveInteger(text: string): number {
  if (/^[1-9][0-9]*$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number from 1 on.');
}

function printError(message: string): void {
  console.error(`error: ${escapeMessage(message)}`);
}

/** Commander's messages quote arguments, which may have come from anywhere. */
function escapeLines(text: string): string {
  return text.trimEnd().split('\n').map(escapeMessage).join('\n');
}
