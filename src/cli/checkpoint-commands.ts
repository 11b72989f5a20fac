import { type Command, InvalidArgumentError, Option } from 'commander';
import type { TargetDtype } from '../convert/index.ts';
import { examples, outputPath, run } from './command.ts';
import { type ConvertCommandOptions, convert } from './convert.ts';
import { EXIT_OK } from './exit-codes.ts';
import { type ScanCommandOptions, scan } from './scan.ts';

export function addConvert(parent: Command): void {
  parent
    .command('convert')
    .summary('write a checkpoint of PyTorch, numpy or GGUF as safetensors')
    .description(
      'Write the tensors of a PyTorch checkpoint (.bin, .pt, .pth, .ckpt), or of a folder with its shards and ' +
        'index, as safetensors. A checkpoint is a program in Python’s pickle language; here it is read as ' +
        'data, and nothing in it is run. Arrays of numpy (.npy, .npz) and GGUF files without quantised tensors ' +
        'are converted too. What is written is compared with what it was made of.',
    )
    .argument('<path>', 'a file, the folder of a model, or its index')
    .requiredOption(
      '-o, --output <path>',
      'the file to write; for a folder, the folder',
      outputPath,
    )
    .option('-k, --key <path>', 'where the tensors are, as "model" or "optimizer.state"; "" is all')
    .option('--strip-prefix <text>', 'taken off names, as "module."')
    .option(
      '--skip-unknown',
      'leave out objects of unknown classes, and tensors of other dtypes, instead of refusing the file',
    )
    .addOption(
      new Option('--dtype <dtype>', 'round floating-point tensors to f32, f16 or bf16').argParser(
        targetDtype,
      ),
    )
    .option('--no-verify', 'do not compare what was written')
    .option('-n, --dry-run', 'say what would be written, and write nothing')
    .option('-j, --json', 'print JSON')
    .addHelpText(
      'after',
      examples(
        'convert pytorch_model.bin -o model.safetensors',
        'convert model/ -o converted/ --dtype bf16',
        'convert weights.npz -o weights.safetensors',
        'convert checkpoint.pt --key optimizer -o optimizer.safetensors',
      ),
    )
    .action((path: string, options: ConvertCommandOptions) =>
      run(path, async (signal) => {
        await convert(path, options, signal);
        return EXIT_OK;
      }),
    );
}

export function addScan(parent: Command): void {
  parent
    .command('scan')
    .summary('say what loading a PyTorch checkpoint would run')
    .description(
      'Print what the pickles of a checkpoint name and would call, and a verdict, without running any of it; ' +
        'of a folder, for every file that begins like a zip or tar file, a pickle, a GGUF file or an array of ' +
        'numpy, or is called as a checkpoint is. Exit code 0: safe to convert; 1: unknown, or cannot be read; ' +
        '3: dangerous.',
    )
    .argument('<path>', 'a file or a folder')
    .option('-j, --json', 'print JSON')
    .addHelpText('after', examples('scan pytorch_model.bin', 'scan downloads/ --json'))
    .action((path: string, options: ScanCommandOptions) =>
      run(path, (signal) => scan(path, options, signal)),
    );
}

function targetDtype(text: string): TargetDtype {
  const dtype = text.toUpperCase();
  if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') return dtype;
  throw new InvalidArgumentError('It must be f32, f16 or bf16.');
}
