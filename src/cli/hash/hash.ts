import { stat } from 'node:fs/promises';
import { escapeText } from '../../escape.ts';
import { openModel, SafetensorsError, type SafetensorsModel } from '../../index.ts';
import type { FileRange } from '../file-reading.ts';
import { jsonArray, toJson } from '../json.ts';
import { isSharded } from '../listing.ts';
import { ModelFiles } from '../model-files.ts';
import { showProgress } from '../progress.ts';
import { printLines } from '../terminal.ts';
import { shownName } from '../text.ts';
import { hashRanges } from './hash-pool.ts';

export interface HashOptions {
  readonly perTensor?: true;
  readonly json?: true;
}

/** How the name of an index ends: a config.json is a file like any other here. */
const INDEX = '.index.json';

/** A file or a tensor, of which there is to be a digest. */
interface Part {
  readonly range: FileRange;
  /** Its name, printable. */
  readonly shown: string;
  /** What JSON says of it beside the digest. */
  readonly facts: object;
}

/**
 * `safetensors hash`: of a file, whatever is in it; of the files of a model; or of tensors.
 *
 * @throws what opening and reading the files throw, and the reason of the signal
 */
export async function hash(path: string, options: HashOptions, signal: AbortSignal): Promise<void> {
  const { perTensor = false, json = false } = options;
  const status = await stat(path);
  if (!perTensor && !status.isDirectory() && !path.endsWith(INDEX)) {
    if (!status.isFile()) {
      const message = 'this is not a regular file: save its contents to one';
      throw new SafetensorsError('NOT_SAFETENSORS', message, { path });
    }
    const part = filePart(path, status.size);
    await print([part], await digestsOf([part], signal), { key: 'files', path, json });
    return;
  }
  using model = await openModel(path);
  const parts = perTensor ? await tensorParts(model) : await fileParts(model);
  const digests = await digestsOf(parts, signal);
  model.check();
  await print(parts, digests, { key: perTensor ? 'tensors' : 'files', path, json });
}

function filePart(path: string, byteLength: number): Part {
  return {
    range: { path, begin: 0, end: byteLength },
    shown: escapeText(path),
    facts: { path, byteLength },
  };
}

/** The index, where there is one, and the shards. */
async function fileParts(model: SafetensorsModel): Promise<Part[]> {
  const shards = model.shards.map(({ path, byteLength }) => filePart(path, byteLength));
  if (!isSharded(model)) return shards;
  const { size } = await stat(model.path);
  return [filePart(model.path, size), ...shards];
}

/** All tensors, in the order of the data. */
async function tensorParts(model: SafetensorsModel): Promise<Part[]> {
  const files = await ModelFiles.of(model);
  return model.offsetKeys().map((name) => {
    const { dtype, shape, byteLength } = model.getTensor(name);
    return {
      range: files.rangeOf(name),
      shown: shownName(name),
      facts: { name, dtype, shape, byteLength },
    };
  });
}

async function digestsOf(parts: readonly Part[], signal: AbortSignal): Promise<string[]> {
  const ranges = parts.map(({ range }) => range);
  const totalBytes = ranges.reduce((sum, { begin, end }) => sum + end - begin, 0);
  using progress = showProgress('hashing');
  let read = 0;
  const onBytes = (bytes: number) => {
    read += bytes;
    progress.update({ bytes: read, totalBytes });
  };
  return await hashRanges(ranges, { signal, onBytes });
}

interface PrintOptions {
  readonly key: string;
  readonly path: string;
  readonly json: boolean;
}

function print(
  parts: readonly Part[],
  digests: readonly string[],
  { key, path, json }: PrintOptions,
): Promise<void> {
  if (!json) return printLines(textLines(parts, digests));
  const items = parts.map(({ facts }, place) => ({ ...facts, sha256: digests[place] }));
  return printLines(jsonLines(key, path, items));
}

function* jsonLines(key: string, path: string, items: readonly object[]): Generator<string> {
  yield '{';
  yield `  "path": ${toJson(path)},`;
  yield* jsonArray(key, items, { isLast: true });
  yield '}';
}

/** As sha256sum prints them: a name is whole, since nothing of use would be left of it beside a digest. */
function* textLines(parts: readonly Part[], digests: readonly string[]): Generator<string> {
  for (const [place, { shown }] of parts.entries()) {
    yield `${digests[place]}  ${shown}`;
  }
}
