import { escapeText } from '../escape.ts';
import { openModel, updateMetadata } from '../index.ts';
import { CommandError } from './command-error.ts';
import { toJson } from './json.ts';
import { isSharded } from './listing.ts';
import { metadataLines } from './metadata-text.ts';
import { showProgress } from './progress.ts';
import { printLines, terminalOf } from './terminal.ts';

export interface MetadataOptions {
  readonly set?: ReadonlyMap<string, string>;
  readonly unset?: readonly string[];
  readonly json?: true;
}

/**
 * `safetensors metadata`
 *
 * @throws what opening and changing the file throw, and the reason of the signal
 */
export async function metadata(
  path: string,
  { set, unset, json }: MetadataOptions,
  signal: AbortSignal,
): Promise<void> {
  const changes = new Map<string, string | null>(set);
  for (const key of unset ?? []) changes.set(key, null);
  const now = changes.size > 0 ? await change(path, changes, signal) : await read(path);
  if (json) {
    await printLines([toJson(now)]);
    return;
  }
  if (Object.keys(now.metadata).length === 0) console.error('no metadata');
  await printLines(metadataLines(now.metadata, terminalOf(process.stdout, process.env)));
}

type Metadata = Readonly<Record<string, string>>;

async function read(path: string): Promise<{ path: string; metadata: Metadata }> {
  using model = await openModel(path);
  return { path, metadata: model.metadata };
}

async function change(
  path: string,
  changes: ReadonlyMap<string, string | null>,
  signal: AbortSignal,
): Promise<{ path: string; metadata: Metadata; inPlace: boolean }> {
  using model = await openModel(path);
  const [file] = model.shards;
  if (isSharded(model)) {
    throw new CommandError(
      `${escapeText(path)} is a model of several files, each with metadata of its own: give one of them, ` +
        `as ${escapeText(file.path)}`,
    );
  }
  using progress = showProgress('copying');
  const onProgress = (now: { bytes: number; totalBytes: number }) => progress.update(now);
  const { metadata, inPlace } = await updateMetadata(file.path, changes, { signal, onProgress });
  return { path: file.path, metadata, inPlace };
}
