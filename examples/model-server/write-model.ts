/**
 * Writes a model to serve, with values from a seed: `node out/model-server/write-model.js FOLDER`.
 * `--size large` writes one of 471 MB, `--seed N` other values, `--dtype BF16` half the bytes.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Presets, SingleBar } from 'cli-progress';
import { writeModel } from '../encoder/write-model.ts';
import { SIZES } from './sizes.ts';
import { tokenizerJson } from './tokenizer.ts';

const interruption = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interruption.abort());
try {
  await main();
} catch (error) {
  const message = error instanceof Error ? error.message : error;
  console.error(`write-model: ${interruption.signal.aborted ? 'interrupted' : message}`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      size: { type: 'string', default: 'tiny' },
      seed: { type: 'string', default: '1' },
      dtype: { type: 'string', default: 'F32' },
    },
  });
  const { dtype } = values;
  const [folder, ...others] = positionals;
  const config = Object.hasOwn(SIZES, values.size) ? SIZES[values.size] : undefined;
  if (folder === undefined || others.length > 0) throw new Error('which FOLDER?');
  if (config === undefined) throw new Error(`--size is ${Object.keys(SIZES).join(' or ')}`);
  if (dtype !== 'F32' && dtype !== 'BF16') throw new Error('--dtype is F32 or BF16');

  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'tokenizer.json'), `${JSON.stringify(tokenizerJson())}\n`);
  await writeFile(join(folder, 'tokenizer_config.json'), '{}\n');
  const bar = new SingleBar({ format: '{bar} {percentage}%  {value} MB' }, Presets.shades_classic);
  const megabytes = (bytes: number) => Math.round(bytes / 1e6);
  try {
    await writeModel(folder, config, {
      dtype,
      seed: Number(values.seed),
      signal: interruption.signal,
      onProgress: ({ bytes, totalBytes }) => {
        if (!bar.isActive) bar.start(megabytes(totalBytes), 0);
        bar.update(megabytes(bytes));
      },
    });
  } finally {
    bar.stop();
  }
}
