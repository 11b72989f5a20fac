import { type Command, InvalidArgumentError, Option } from 'commander';
import { examples, MODEL_ARGUMENT, run } from './command.ts';
import { type DiffOptions, diff } from './diff/diff.ts';
import { EXIT_OK, EXIT_TROUBLE } from './exit-codes.ts';
import { type HashOptions, hash } from './hash/hash.ts';
import { type InspectOptions, inspect } from './inspect.ts';
import { SORT_KEYS } from './listing.ts';
import { type VerifyOptions, verify } from './verify.ts';

export function addInspect(parent: Command): void {
  parent
    .command('inspect')
    .summary('list the tensors of a file or a model')
    .description(
      'List the tensors of a file or a model: name, dtype, shape, bytes, offsets into the data, and ' +
        'whether they can be used in place. Ends with totals by dtype, and the metadata. Reads headers ' +
        'only, also of files on a server.',
    )
    .argument('<path>', `${MODEL_ARGUMENT}; https://…, or hf://owner/name`)
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
        'inspect hf://deepseek-ai/DeepSeek-V3 --tree --depth 2',
      ),
    )
    .action((path: string, options: InspectOptions) =>
      run(path, (signal) => inspect(path, options, signal)),
    );
}

export function addVerify(parent: Command): void {
  parent
    .command('verify')
    .summary('check files and models against every rule of the format')
    .description(
      'Check files against every rule of the format; of a model, its index and all its shards. Reads ' +
        'headers only. Exit code 0: all are good; 1: one is bad, or cannot be opened; 2: wrong usage.',
    )
    .argument('<path...>', 'files, folders of models, or indexes')
    .option('-q, --quiet', 'print bad files only')
    .addOption(new Option('-j, --json', 'print JSON').conflicts('quiet'))
    .addHelpText('after', examples('verify *.safetensors', 'verify --quiet models/* && echo good'))
    .action((paths: string[], options: VerifyOptions) =>
      run(paths[0], () => verify(paths, options)),
    );
}

export function addDiff(parent: Command): void {
  parent
    .command('diff')
    .summary('compare two files or models')
    .description(
      'Compare two files or models, of one file or of many: names, dtypes, shapes, metadata, and the ' +
        'data, of which the elements are counted that differ in any bit, with the largest absolute ' +
        'difference. Where tensors are in their files does not matter. Exit code 0: they are the same; ' +
        '1: they differ; 2: trouble.',
    )
    .argument('<a>', MODEL_ARGUMENT)
    .argument('<b>', 'another one')
    .option('-H, --headers', 'leave the data alone: names, dtypes, shapes and metadata only')
    .option('-j, --json', 'print JSON')
    .addHelpText(
      'after',
      examples(
        'diff before.safetensors after.safetensors',
        'diff model.safetensors sharded/ && echo same',
        'diff --json a.safetensors b.safetensors | jq .different',
      ),
    )
    .action((a: string, b: string, options: DiffOptions) =>
      run(a, (signal) => diff([a, b], options, signal), EXIT_TROUBLE),
    );
}

export function addHash(parent: Command): void {
  parent
    .command('hash')
    .summary('print the SHA-256 of a file, or of each tensor')
    .description(
      'Print the SHA-256 of a file as sha256sum does, or of all files of a model, or of the bytes of ' +
        'each tensor in the order of the data, which other tensors and the header do not change.',
    )
    .argument('<path>', `${MODEL_ARGUMENT}; or any file at all`)
    .option('-t, --per-tensor', 'hash each tensor')
    .option('-j, --json', 'print JSON')
    .addHelpText(
      'after',
      examples('hash model.safetensors', 'hash --per-tensor model.safetensors | sort'),
    )
    .action((path: string, options: HashOptions) =>
      run(path, async (signal) => {
        await hash(path, options, signal);
        return EXIT_OK;
      }),
    );
}

function positiveInteger(text: string): number {
  if (/^[1-9][0-9]*$/.test(text)) return Number(text);
  throw new InvalidArgumentError('It must be a whole number from 1 on.');
}
