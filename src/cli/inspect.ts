import { escapeText } from '../escape.ts';
import { openModel } from '../index.ts';
import { inspectionJson } from './inspect-json.ts';
import { inspectionLines } from './inspect-text.ts';
import {
  type Entry,
  entriesOf,
  type Listing,
  nameFilter,
  type SortKey,
  sortEntries,
} from './listing.ts';
import { isRemote, remoteListing } from './remote.ts';
import { printLines, terminalOf } from './terminal.ts';
import { countOf } from './text.ts';

export interface InspectOptions {
  readonly filter?: readonly string[];
  readonly sort?: SortKey;
  readonly reverse?: true;
  readonly tree?: true;
  readonly depth?: number;
  readonly json?: true;
}

/** What is to be shown of a file or a model. */
export interface Inspection {
  readonly path: string;
  readonly container: Listing['container'];
  /** Those that pass the filter, in the order that is asked for. */
  readonly entries: readonly Entry[];
  readonly filtered: boolean;
  /** Set when it is to be shown as a tree. */
  readonly tree?: { readonly depth: number; readonly sort: SortKey; readonly reverse: boolean };
}

/**
 * `safetensors inspect`
 *
 * @returns The exit code: 1 when no tensor passes the filter, as grep does.
 * @throws what opening the file throws
 */
export async function inspect(
  path: string,
  options: InspectOptions,
  signal: AbortSignal,
): Promise<0 | 1> {
  const listing = isRemote(path)
    ? await remoteListing(path, process.env, signal)
    : await localListing(path);
  const inspection = inspectionOf(path, listing, options);
  await printLines(
    options.json
      ? inspectionJson(inspection)
      : inspectionLines(inspection, terminalOf(process.stdout, process.env)),
  );
  if (!options.filter || inspection.entries.length > 0) return 0;
  const globs = options.filter.map((glob) => `"${escapeText(glob)}"`).join(', ');
  console.error(`error: none of the ${countOf(listing.container.size, 'tensor')} matches ${globs}`);
  return 1;
}

async function localListing(path: string): Promise<Listing> {
  using model = await openModel(path);
  const { path: file, byteLength, backend, size, metadata, shards } = model;
  return {
    container: { path: file, byteLength, backend, size, metadata, shards },
    entries: entriesOf(model),
  };
}

function inspectionOf(
  path: string,
  { container, entries: all }: Listing,
  options: InspectOptions,
): Inspection {
  const { filter = [], sort, reverse = false, tree, depth = Number.POSITIVE_INFINITY } = options;
  const isShown = nameFilter(filter);
  const shown = filter.length > 0 ? all.filter(({ name }) => isShown(name)) : all;
  const shared = { path, container, filtered: filter.length > 0 };
  // The tree wants the order of the data, and sorts each module by itself.
  if (tree) return { ...shared, entries: shown, tree: { depth, sort: sort ?? 'name', reverse } };
  return { ...shared, entries: sortEntries(shown, { by: sort ?? 'offset', reverse }) };
}
