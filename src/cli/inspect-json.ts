import type { Inspection } from './inspect.ts';
import { jsonArray, toJson } from './json.ts';
import { type Entry, isSharded, type Totals, totalsByDtype, totalsOf } from './listing.ts';
import { treeNodes } from './tree.ts';

/** A JSON document in lines: one for each tensor, so that none is longer than it must be. */
export function* inspectionJson(inspection: Inspection): Generator<string> {
  const { path, container, entries, tree } = inspection;
  yield '{';
  yield `  "path": ${toJson(path)},`;
  yield `  "byteLength": ${container.byteLength},`;
  if (container.backend) yield `  "backend": ${toJson(container.backend)},`;
  yield `  "size": ${container.size},`;
  yield `  "metadata": ${toJson(container.metadata)},`;
  if (isSharded(container)) yield `  "shards": ${toJson(container.shards)},`;
  yield* jsonArray('tensors', tensors(entries));
  if (tree) yield* jsonArray('modules', modules(inspection));
  const dtypes: Record<string, Totals> = Object.create(null);
  for (const [dtype, totals] of totalsByDtype(entries)) dtypes[dtype] = totals;
  yield `  "totals": ${toJson({ ...totalsOf(entries), dtypes })}`;
  yield '}';
}

function* tensors(entries: readonly Entry[]): Generator<Omit<Entry, 'rank'>> {
  for (const { rank: _, ...facts } of entries) yield facts;
}

function* modules({ entries, tree }: Inspection): Generator<Totals & { path: string }> {
  if (!tree) return;
  for (const { path, totals, tensor } of treeNodes(entries, tree)) {
    if (!tensor) yield { path, ...totals };
  }
}
