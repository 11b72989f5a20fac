import {
  type Conversion,
  type ConvertedFile,
  convertCheckpoint,
  type TargetDtype,
} from '../convert/index.ts';
import { escapeText } from '../escape.ts';
import { jsonArray, toJson } from './json.ts';
import { showProgress } from './progress.ts';
import { printLines } from './terminal.ts';
import { countOf, formatBytes, shownName } from './text.ts';

export interface ConvertCommandOptions {
  readonly output: string;
  readonly key?: string;
  readonly stripPrefix?: string;
  readonly dtype?: TargetDtype;
  readonly skipUnknown?: true;
  readonly verify: boolean;
  readonly dryRun?: true;
  readonly json?: true;
}

/** Things besides tensors that are listed, of each kind. */
const SHOWN = 20;

/**
 * `safetensors convert`
 *
 * @throws what converting throws, and the reason of the signal
 */
export async function convert(
  path: string,
  { output, json, ...options }: ConvertCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const conversion = await withProgress(path, output, options, signal);
  if (json) await printLines(conversionJson(conversion));
  else for (const file of conversion.files) await printLines(fileLines(file, options));
  if (!json && conversion.index !== undefined) await printLines([escapeText(conversion.index)]);
}

async function withProgress(
  path: string,
  output: string,
  options: Omit<ConvertCommandOptions, 'output' | 'json'>,
  signal: AbortSignal,
): Promise<Conversion> {
  using progress = showProgress('converting');
  const onProgress = (now: { bytes: number; totalBytes: number }) => progress.update(now);
  return await convertCheckpoint(path, output, { ...options, signal, onProgress });
}

function* fileLines(
  file: ConvertedFile,
  { dryRun, verify }: Pick<ConvertCommandOptions, 'dryRun' | 'verify'>,
): Generator<string> {
  const { output, tensors, byteLength, links, others, leftOut, skipped, omitted, kept, key } = file;
  const facts = [countOf(tensors.length, 'tensor'), formatBytes(byteLength)];
  if (dryRun) facts.push('not written');
  else if (kept) facts.push('was there already');
  else if (verify) facts.push('verified');
  if (key !== '') facts.push(`of ${shownName(key)}`);
  yield `${escapeText(output)}  (${facts.join(', ')})`;
  for (const [name, target] of links) yield `  ${shownName(name)} is ${shownName(target)}`;
  const values = others.map(({ path, value }) => `${shownName(path)} = ${value}`);
  yield* first(values, 'left out', omitted.others);
  yield* first(
    leftOut.map((name) => `${shownName(name)} (see --key)`),
    'left out',
  );
  yield* first(skipped, 'skipped', omitted.skipped);
}

/** @param omitted How many more there are than `what` has. */
function* first(what: readonly string[], became: string, omitted = 0): Generator<string> {
  for (const one of what.slice(0, SHOWN)) yield `  ${became}: ${one}`;
  const more = Math.max(what.length - SHOWN, 0) + omitted;
  if (more > 0) yield `  ${became}: … and ${more} more`;
}

function* conversionJson({ files, index }: Conversion): Generator<string> {
  yield '{';
  yield `  "index": ${toJson(index ?? null)},`;
  const shown = files.map(({ links, ...file }) => ({ ...file, links: Object.fromEntries(links) }));
  yield* jsonArray('files', shown, { isLast: true });
  yield '}';
}
