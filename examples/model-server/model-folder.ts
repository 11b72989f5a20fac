import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type EncoderConfig, parseConfig } from '../encoder/config.ts';

/** What is beside the weights of a model. */
export interface ModelFolder {
  readonly config: EncoderConfig;
  /** The texts of `tokenizer.json` and `tokenizer_config.json`, where they are. */
  readonly tokenizer: string | undefined;
  readonly tokenizerConfig: string | undefined;
  /** Tells one state of these files from another. */
  readonly digest: string;
}

/** @param path As `openModel` takes it: a folder, or an index or a file in it. */
export async function readModelFolder(path: string): Promise<ModelFolder> {
  const folder = (await stat(path)).isDirectory() ? path : dirname(path);
  const [config, tokenizer, tokenizerConfig] = await Promise.all([
    readFile(join(folder, 'config.json'), 'utf8'),
    readIfThere(join(folder, 'tokenizer.json')),
    readIfThere(join(folder, 'tokenizer_config.json')),
  ]);
  const digest = createHash('sha256')
    .update(JSON.stringify([config, tokenizer, tokenizerConfig]))
    .digest('base64url');
  return { config: parseConfig(config), tokenizer, tokenizerConfig, digest };
}

function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
