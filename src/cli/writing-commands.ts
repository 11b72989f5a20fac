import { type Command, InvalidArgumentError, Option } from 'commander';
import { examples, MODEL_ARGUMENT, outputPath, run } from './command.ts';
import { EXIT_OK } from './exit-codes.ts';
import { type MergeOptions, merge } from './merge.ts';
import { type MetadataOptions, metadata } from './metadata.ts';
import { type SplitOptions, split } from './split.ts';

export function addMerge(parent: Command): void {
  parent
    .command('merge')
    .summary('write a sharded model as one file')
    .description(
      'Write all tensors of a model, and the metadata of its shards, into one file. What is there is ' +
        'replaced when the new file is whole and on the disk, and not before.',
    )
    .argument('<path>', MODEL_ARGUMENT)
    .requiredOption('-o, --output <file>', 'the file to write', outputPath)
    .option('-j, --json', 'print JSON')
    .addHelpText('after', examples('merge model/ -o model.safetensors'))
    .action((path: string, options: MergeOptions) =>
      run(path, async (signal) => {
        await merge(path, options, signal);
        return EXIT_OK;
      }),
    );
}

export function addSplit(parent: Command): void {
  parent
    .command('split')
    .summary('write a file as a sharded model')
    .description(
      'Write the tensors of a file as shards and an index, named and split as Hugging Face does; where ' +
        'all fit into one shard, that is model.safetensors. A model that is in the folder is replaced ' +
        'when the new one is whole and on the disk, and not before.',
    )
    .argument('<path>', MODEL_ARGUMENT)
    .requiredOption('-o, --output <folder>', 'the folder to write to', outputPath)
    .addOption(
      new Option('-m, --max-shard-size <size>', 'most bytes in a shard, as 2GB or 500MB')
        .argParser(shardSize)
        .default(5e9, '5GB'),
    )
    .option('-j, --json', 'print JSON')
    .addHelpText('after', examples('split model.safetensors --max-shard-size 2GB -o model/'))
    .action((path: string, options: SplitOptions) =>
      run(path, async (signal) => {
        await split(path, options, signal);
        return EXIT_OK;
      }),
    );
}

export function addMetadata(parent: Command): void {
  parent
    .command('metadata')
    .summary('print or change the metadata of a file')
    .description(
      'Print the metadata of a file or a model; with --set and --unset, change that of a file first. ' +
        'Tensors stay as they are: the file is changed in place where its header has room, else copied ' +
        'and replaced.',
    )
    .argument('<path>', MODEL_ARGUMENT)
    .option('-s, --set <key=value>', 'set a key; may be repeated', setKey)
    .option('-u, --unset <key>', 'remove a key; may be repeated', (key, keys: string[] = []) => [
      ...keys,
      key,
    ])
    .option('-j, --json', 'print JSON')
    .addHelpText(
      'after',
      examples(
        'metadata model.safetensors',
        'metadata model.safetensors --set format=pt --unset note',
        'metadata model.safetensors --json | jq -r .metadata.format',
      ),
    )
    .action((path: string, options: MetadataOptions, command: Command) => {
      const both = options.unset?.find((key) => options.set?.has(key));
      if (both !== undefined) command.error(`error: key '${both}' is both set and unset`);
      return run(path, async (signal) => {
        await metadata(path, options, signal);
        return EXIT_OK;
      });
    });
}

const UNITS = 'KMGT';

/** Bytes; text without a unit is a number of them. */
function shardSize(text: string): number {
  const [, number = '', unit = ''] = /^(\d+|(?:\d+\.?\d*|\.\d+)\s*([KMGT])B)$/i.exec(text) ?? [];
  const power = unit === '' ? 0 : 1 + UNITS.indexOf(unit.toUpperCase());
  const bytes = Math.trunc(Number.parseFloat(number) * 1000 ** power);
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new InvalidArgumentError(
    'It must be a number of bytes, or one of KB, MB, GB or TB: at least one byte, and under 2^53.',
  );
}

function setKey(text: string, pairs: ReadonlyMap<string, string> = new Map()): Map<string, string> {
  const end = text.indexOf('=');
  if (end < 0) throw new InvalidArgumentError('It must be key=value.');
  return new Map([...pairs, [text.slice(0, end), text.slice(end + 1)]]);
}
