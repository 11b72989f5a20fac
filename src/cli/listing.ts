import { basename } from 'node:path';
import picomatch from 'picomatch';
import type { Dtype, SafetensorsModel } from '../index.ts';
import { bracePattern } from './brace-range.ts';
import { compareNatural } from './natural-order.ts';

/** Longest name that braces and the like are matched against; published ones stay under 200. */
const PATTERN_NAME_UNITS = 1024;

/** One tensor of a listing. */
export interface Entry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Elements. */
  readonly size: number;
  readonly byteLength: number;
  /** First and last + 1, in bytes from the start of the data of its file. */
  readonly dataOffsets: readonly [begin: number, end: number];
  readonly zeroCopy: boolean;
  /** The name of its file in the folder of the model; only where there is an index. */
  readonly shard?: string;
  /** Its place in the order of the data, through all files. */
  readonly rank: number;
}

/** What a command lists. */
export interface Listing {
  /** With a backend where it is opened, and not on a server. */
  readonly container: Pick<
    SafetensorsModel,
    'path' | 'byteLength' | 'size' | 'metadata' | 'shards'
  > &
    Partial<Pick<SafetensorsModel, 'backend'>>;
  /** Every tensor, in the order of the data. */
  readonly entries: readonly Entry[];
}

export interface Totals {
  tensors: number;
  /** Elements. */
  parameters: number;
  byteLength: number;
}

export const SORT_KEYS = ['offset', 'name', 'size', 'dtype'] as const;
export type SortKey = (typeof SORT_KEYS)[number];

/** Every tensor, in the order of the data. */
export function entriesOf(model: SafetensorsModel): Entry[] {
  const sharded = isSharded(model);
  return model.offsetKeys().map((name, rank) => {
    const { dataOffsets } = model.info(name);
    const { dtype, shape, size, byteLength, zeroCopy } = model.getTensor(name);
    const entry = { name, dtype, shape, size, byteLength, dataOffsets, zeroCopy, rank };
    return sharded ? { ...entry, shard: basename(model.shardOf(name).path) } : entry;
  });
}

/** Whether a model has an index, and not a single file only. */
export function isSharded({ path, shards }: Pick<SafetensorsModel, 'path' | 'shards'>): boolean {
  return shards.every((shard) => shard.path !== path);
}

/**
 * Whether a name is asked for: by one of the globs, and by none of those with a `!` before them. A
 * name is no path, so that `*` stands for anything, and so it does for line feeds.
 */
export function nameFilter(globs: readonly string[]): (name: string) => boolean {
  const [excluding, including] = [true, false].map((excludes) =>
    globs.filter((glob) => isExclusion(glob) === excludes),
  );
  const wanted = including.map(matcher);
  const unwanted = excluding.map((glob) => matcher(glob.slice(1)));
  return (name) =>
    (wanted.length === 0 || wanted.some((matches) => matches(name))) &&
    !unwanted.some((matches) => matches(name));
}

/** `!(a|b)` is a pattern of its own. */
function isExclusion(glob: string): boolean {
  return glob.startsWith('!') && !glob.startsWith('!(');
}

function matcher(glob: string): (name: string) => boolean {
  if (/^[^[\]{}()!+@\\|]*$/.test(glob)) return (name) => matchesWildcards(name, glob);
  const pattern = picomatch.makeRe(glob, {
    dot: true,
    bash: true,
    windows: false,
    strictSlashes: true,
    flags: 's',
    // What it makes of a range by itself is right for single characters alone. Behind the parts it passes
    // its options.
    expandRange: (...parts: unknown[]) =>
      bracePattern(parts.filter((part) => typeof part === 'string')),
  });
  return (name) => name === glob || (name.length <= PATTERN_NAME_UNITS && pattern.test(name));
}

/**
 * Whether a name matches a glob of literals, `*` and `?`. In linear time for each `*`, which a
 * regular expression does not promise: the names are the file's, and may be made to take hours.
 */
function matchesWildcards(name: string, glob: string): boolean {
  let at = 0;
  let place = 0;
  let star = -1;
  let retry = 0;
  while (at < name.length) {
    if (glob[place] === '*') {
      star = place++;
      retry = at;
    } else if (glob[place] === name[at] || glob[place] === '?') {
      at++;
      place++;
    } else if (star >= 0) {
      // The last `*` takes one more.
      place = star + 1;
      at = ++retry;
    } else {
      return false;
    }
  }
  while (glob[place] === '*') place++;
  return place === glob.length;
}

/** The entries in another order; those that are equal in it stay in the order of the data. */
export function sortEntries(
  entries: readonly Entry[],
  { by, reverse }: { by: SortKey; reverse: boolean },
): Entry[] {
  const order = entryOrders[by];
  return entries.toSorted(reverse ? (a, b) => order(b, a) : order);
}

const entryOrders: Record<SortKey, (a: Entry, b: Entry) => number> = {
  offset: (a, b) => a.rank - b.rank,
  name: (a, b) => compareNatural(a.name, b.name),
  size: (a, b) => b.byteLength - a.byteLength,
  dtype: (a, b) => compareNatural(a.dtype, b.dtype),
};

export function totalsOf(entries: Iterable<Entry>): Totals {
  const totals = { tensors: 0, parameters: 0, byteLength: 0 };
  for (const { size, byteLength } of entries) {
    totals.tensors++;
    totals.parameters += size;
    totals.byteLength += byteLength;
  }
  return totals;
}

/** Totals of each dtype, that of the most bytes first. */
export function totalsByDtype(entries: readonly Entry[]): [dtype: Dtype, totals: Totals][] {
  const groups = new Map<Dtype, Entry[]>();
  for (const entry of entries) {
    const group = groups.get(entry.dtype);
    if (group) group.push(entry);
    else groups.set(entry.dtype, [entry]);
  }
  return Array.from(groups, ([dtype, group]): [Dtype, Totals] => [dtype, totalsOf(group)]).sort(
    ([, a], [, b]) => b.byteLength - a.byteLength || b.tensors - a.tensors,
  );
}
