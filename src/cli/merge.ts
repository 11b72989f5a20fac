import { stat } from 'node:fs/promises';
import { escapeText } from '../escape.ts';
import { openModel, saveFile } from '../index.ts';
import { toJson } from './json.ts';
import { checkOutputFile } from './own-files.ts';
import { saveAgain } from './saving.ts';
import { printLines } from './terminal.ts';
import { countOf, formatBytes } from './text.ts';

export interface MergeOptions {
  readonly output: string;
  readonly json?: true;
}

/**
 * `safetensors merge`
 *
 * @throws what opening the model and saving the file throw, and the reason of the signal
 */
export async function merge(
  path: string,
  { output, json }: MergeOptions,
  signal: AbortSignal,
): Promise<void> {
  using model = await openModel(path);
  await checkOutputFile(output, model);
  await saveAgain(model, { label: 'merging', signal }, (saving) => saveFile(model, output, saving));
  const { size: tensors } = model;
  const { size: byteLength } = await stat(output);
  const facts = `(${countOf(tensors, 'tensor')}, ${formatBytes(byteLength)})`;
  const shown = `${escapeText(output)}  ${facts}`;
  await printLines([json ? toJson({ path: output, tensors, byteLength }) : shown]);
}
