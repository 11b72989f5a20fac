import { openModel } from '../../index.ts';
import { EXIT_DIFFERENT, EXIT_OK } from '../exit-codes.ts';
import { showProgress } from '../progress.ts';
import { printLines, terminalOf } from '../terminal.ts';
import { compareData, isComparable, matchTensors, metadataChanges } from './compare.ts';
import { type Comparison, haveSameType, isSame } from './comparison.ts';
import { diffJson } from './diff-json.ts';
import { diffLines } from './diff-text.ts';

export interface DiffOptions {
  readonly headers?: true;
  readonly json?: true;
}

/**
 * `safetensors diff`
 *
 * @returns The exit code.
 * @throws what opening and reading the files throw, and the reason of the signal
 */
export async function diff(
  [pathOfA, pathOfB]: readonly [string, string],
  options: DiffOptions,
  signal: AbortSignal,
): Promise<number> {
  const comparison = await compare([pathOfA, pathOfB], options, signal);
  await printLines(
    options.json
      ? diffJson(comparison)
      : diffLines(comparison, terminalOf(process.stdout, process.env)),
  );
  return isSame(comparison) ? EXIT_OK : EXIT_DIFFERENT;
}

async function compare(
  [pathOfA, pathOfB]: readonly [string, string],
  { headers }: DiffOptions,
  signal: AbortSignal,
): Promise<Comparison> {
  using a = await openModel(pathOfA);
  using b = await openModel(pathOfB);
  const headersOnly = headers ?? false;
  const { onlyInA, onlyInB, pairs } = matchTensors(a, b);
  const comparable = headersOnly ? [] : pairs.filter(isComparable);
  const totalBytes = comparable.reduce((sum, { a: { byteLength } }) => sum + byteLength, 0);
  using progress = showProgress('comparing');
  const onProgress = (bytes: number) => progress.update({ bytes, totalBytes });
  const differences = await compareData({ a, b }, comparable, { signal, onProgress });
  const changes = pairs
    .map((pair) => ({ ...pair, elements: differences.get(pair) }))
    .filter((change) => change.elements?.differing || !haveSameType(change));
  return {
    a: { path: pathOfA, byteLength: a.byteLength, size: a.size },
    b: { path: pathOfB, byteLength: b.byteLength, size: b.size },
    onlyInA,
    onlyInB,
    changes,
    metadata: metadataChanges(a, b),
    same: pairs.length - changes.length,
    headersOnly,
  };
}
