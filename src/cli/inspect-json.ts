import type { Inspection } from './inspect.ts';
import { jsonItems, toJson } from './json.ts';
import { type Totals, totalsByDtype, totalsOf } from './listing.ts';
import { treeNodes } from './tree.ts';

/** A JSON document in lines: one for each tensor, so that none is longer than it must be. */
export function* inspectionJson(inspection: Inspection): Generator<string> {
  const { path, container, entries, tree } = inspection;
  yield '{';
  yield `  "path": ${toJson(path)},`;
  yield `  "byteLength": ${container.byteLength},`;
  yield `  "size": ${container.size},`;
  yield `  "metadata": ${toJson(container.metadata)},`;
  yield* items('tensors', entries);
  if (tree) yield* items('modules', modules(inspection));
  const dtypes: Record<string, Totals> = Object.create(null);
  for (const [dtype, totals] of totalsByDtype(entries)) dtypes[dtype] = totals;
  yield `  "totals": ${toJson({ ...totalsOf(entries), dtypes })}`;
  yield '}';
}

function* items(key: string, values: Iterable<unknown>): Generator<string> {
  yield `  "${key}": [`;
  yield* jsonItems(values, '    ');
  yield '  ],';
}

function* modules({ entries, tree }: Inspection): Generator<Totals & { path: string }> {
  if (!tree) return;
  for (const { path, totals, tensor } of treeNodes(entries, tree)) {
    if (!tensor) yield { path, ...totals };
  }
}
