import type { Dtype, SafetensorsModel } from '../../index.ts';
import { FileReader, PIECE_BYTES } from '../file-reading.ts';
import { ModelFiles } from '../model-files.ts';
import type { MetadataChange, TensorFacts, TensorPair } from './comparison.ts';
import { type Differences, ElementComparer } from './elements.ts';

/** Tensors by name, in the order of the data. */
export interface Matching {
  readonly onlyInA: readonly TensorFacts[];
  readonly onlyInB: readonly TensorFacts[];
  readonly pairs: readonly TensorPair[];
}

export function matchTensors(a: SafetensorsModel, b: SafetensorsModel): Matching {
  const inBoth = a.offsetKeys().filter((name) => b.has(name));
  const factsOf = (model: SafetensorsModel) => (name: string) => {
    const { dtype, shape, size, byteLength } = model.getTensor(name);
    return { name, dtype, shape, size, byteLength };
  };
  const [factsInA, factsInB] = [factsOf(a), factsOf(b)];
  return {
    onlyInA: a
      .offsetKeys()
      .filter((name) => !b.has(name))
      .map(factsInA),
    onlyInB: b
      .offsetKeys()
      .filter((name) => !a.has(name))
      .map(factsInB),
    pairs: inBoth.map((name) => ({ a: factsInA(name), b: factsInB(name) })),
  };
}

/** Whether the elements of two tensors can be told apart one by one. */
export function isComparable({ a, b }: TensorPair): boolean {
  return a.dtype === b.dtype && a.size === b.size;
}

export interface DataOptions {
  readonly signal: AbortSignal;
  /** Called with the bytes that have been compared, of each of the two. */
  readonly onProgress: (bytes: number) => void;
}

/**
 * Compares the data of two models, in pieces.
 *
 * @param pairs Comparable ones.
 * @returns What differs, of each pair.
 * @throws {SafetensorsError} FILE_CHANGED
 * @throws {Error} of Node's own shape
 * @throws the reason of the signal
 */
export async function compareData(
  models: { a: SafetensorsModel; b: SafetensorsModel },
  pairs: readonly TensorPair[],
  { signal, onProgress }: DataOptions,
): Promise<Map<TensorPair, Differences>> {
  const [filesOfA, filesOfB] = [await ModelFiles.of(models.a), await ModelFiles.of(models.b)];
  await using readerOfA = new FileReader();
  await using readerOfB = new FileReader();
  const comparers = new Map<Dtype, ElementComparer>();
  const all = new Map<TensorPair, Differences>();
  let bytes = 0;
  for (const pair of pairs) {
    const { name, dtype, size, byteLength } = pair.a;
    const found: Differences = { differing: 0, largest: undefined, nans: 0 };
    all.set(pair, found);
    if (size === 0) continue;
    const [a, b] = [filesOfA.rangeOf(name), filesOfB.rangeOf(name)];
    const comparer = comparers.get(dtype) ?? new ElementComparer(dtype, (byteLength * 8) / size);
    comparers.set(dtype, comparer);
    for (let start = 0; start < byteLength; start += PIECE_BYTES) {
      signal.throwIfAborted();
      const end = Math.min(start + PIECE_BYTES, byteLength);
      const [pieceOfA, pieceOfB] = await Promise.all([
        readerOfA.read({ path: a.path, begin: a.begin + start, end: a.begin + end }),
        readerOfB.read({ path: b.path, begin: b.begin + start, end: b.begin + end }),
      ]);
      comparer.compare(pieceOfA, pieceOfB, found);
      bytes += end - start;
      onProgress(bytes);
    }
  }
  models.a.check();
  models.b.check();
  return all;
}

export function metadataChanges(a: SafetensorsModel, b: SafetensorsModel): MetadataChange[] {
  const keys = new Set([...Object.keys(a.metadata), ...Object.keys(b.metadata)]);
  return Array.from(keys, (key) => ({ key, a: a.metadata[key], b: b.metadata[key] })).filter(
    (change) => change.a !== change.b,
  );
}
