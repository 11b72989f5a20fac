import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { escapeText } from '../escape.ts';
import { openModel, saveModel } from '../index.ts';
import { jsonArray, toJson } from './json.ts';
import { checkOutputFolder } from './own-files.ts';
import { saveAgain } from './saving.ts';
import { printLines } from './terminal.ts';
import { formatBytes } from './text.ts';

export interface SplitOptions {
  readonly output: string;
  /** Bytes. */
  readonly maxShardSize?: number;
  readonly json?: true;
}

interface WrittenFile {
  readonly path: string;
  readonly byteLength: number;
}

/**
 * `safetensors split`
 *
 * @throws what opening the model and saving the new one throw, and the reason of the signal
 */
export async function split(
  path: string,
  { output, maxShardSize, json }: SplitOptions,
  signal: AbortSignal,
): Promise<void> {
  using model = await openModel(path);
  await checkOutputFolder(output, model);
  const { files, index } = await saveAgain(model, { label: 'splitting', signal }, (saving) =>
    saveModel(model, output, { ...saving, maxShardSize }),
  );
  const shards = await Promise.all(files.map((name) => writtenFile(pathIn(output, name))));
  const indexFile = index === undefined ? undefined : await writtenFile(pathIn(output, index));
  if (json) {
    await printLines(splitJson(output, shards, indexFile));
    return;
  }
  const written = indexFile === undefined ? shards : [...shards, indexFile];
  await printLines(written.map(shownFile));
}

/** Not `join` where the folder has "..": "link/.." is not where the link is. */
function pathIn(folder: string, name: string): string {
  return folder.split('/').includes('..') ? `${folder}/${name}` : join(folder, name);
}

async function writtenFile(path: string): Promise<WrittenFile> {
  const { size: byteLength } = await stat(path);
  return { path, byteLength };
}

function shownFile({ path, byteLength }: WrittenFile): string {
  return `${escapeText(path)}  (${formatBytes(byteLength)})`;
}

function* splitJson(
  path: string,
  files: readonly WrittenFile[],
  index: WrittenFile | undefined,
): Generator<string> {
  yield '{';
  yield `  "path": ${toJson(path)},`;
  yield `  "index": ${toJson(index ?? null)},`;
  yield* jsonArray('files', files, { isLast: true });
  yield '}';
}
