import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addConvert, addScan } from './checkpoint-commands.ts';
import { examples } from './command.ts';
import { addDiff, addHash, addInspect, addVerify } from './reading-commands.ts';
import { escapeMessage } from './text.ts';
import { addMerge, addMetadata, addSplit } from './writing-commands.ts';

const { version }: { version: string } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);

/** The whole command line, to be given its arguments. */
export function program(): Command {
  const command = new Command('safetensors')
    .description(
      'Look into .safetensors files and sharded models; verify, compare, merge and split them; make them of ' +
        'PyTorch checkpoints.',
    )
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help for a command')
    .configureOutput({ outputError: (text, write) => write(`${escapeLines(text)}\n`) })
    .showHelpAfterError(helpHint('safetensors'))
    .exitOverride()
    .addHelpText(
      'after',
      examples(
        'inspect model.safetensors',
        'verify *.safetensors',
        'merge model/ -o model.safetensors',
      ),
    )
    .addHelpText('after', EXIT_CODES);
  addInspect(command);
  addVerify(command);
  addDiff(command);
  addHash(command);
  addMetadata(command);
  addMerge(command);
  addSplit(command);
  addConvert(command);
  addScan(command);
  for (const sub of command.commands) sub.showHelpAfterError(helpHint(`safetensors ${sub.name()}`));
  return command;
}

const EXIT_CODES = `
Exit codes:
  0    fine
  1    a file is bad or cannot be used, nothing matched; diff: they differ
  2    wrong usage; diff: a file could not be compared
  3    scan: a checkpoint is dangerous (1: unknown)
  130  ended by Ctrl-C (143 by SIGTERM, 129 by SIGHUP)
  141  nobody reads the output any more, as behind "| head"

What a command writes takes its place in one step, when it is whole.`;

/** Options of a command are in its own help alone. */
function helpHint(command: string): string {
  return `(${command} --help shows what there is)`;
}

/** Commander's messages quote arguments, which may have come from anywhere. */
function escapeLines(text: string): string {
  return text.trimEnd().split('\n').map(escapeMessage).join('\n');
}
