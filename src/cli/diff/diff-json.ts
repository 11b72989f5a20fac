import { jsonArray, toJson } from '../json.ts';
import { type Change, type Comparison, isSame, type MetadataChange } from './comparison.ts';

/** A JSON document in lines: one for each tensor. */
export function* diffJson(comparison: Comparison): Generator<string> {
  const { a, b, onlyInA, onlyInB, changes, metadata, same, headersOnly } = comparison;
  yield '{';
  yield `  "a": ${toJson(a)},`;
  yield `  "b": ${toJson(b)},`;
  yield `  "same": ${isSame(comparison)},`;
  yield `  "headersOnly": ${headersOnly},`;
  yield* jsonArray('onlyInA', onlyInA);
  yield* jsonArray('onlyInB', onlyInB);
  yield* jsonArray('different', changes.map(changeJson));
  yield* jsonArray('metadata', metadata.map(metadataJson));
  const counts = {
    same,
    different: changes.length,
    onlyInA: onlyInA.length,
    onlyInB: onlyInB.length,
  };
  yield `  "tensors": ${toJson(counts)}`;
  yield '}';
}

function changeJson({ a, b, elements }: Change) {
  const { name, dtype, shape, size, byteLength } = a;
  return {
    name,
    a: { dtype, shape, size, byteLength },
    b: { dtype: b.dtype, shape: b.shape, size: b.size, byteLength: b.byteLength },
    ...(elements && {
      differing: elements.differing,
      largest: numberJson(elements.largest),
      nans: elements.nans,
    }),
  };
}

/** JSON has no infinity. */
function numberJson(number: number | undefined): number | string | null {
  if (number === undefined) return null;
  return Number.isFinite(number) ? number : `${number}`;
}

function metadataJson({ key, a, b }: MetadataChange) {
  return { key, a: a ?? null, b: b ?? null };
}
