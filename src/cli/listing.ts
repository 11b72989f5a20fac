import picomatch from 'picomatch';
import type { Container, Dtype } from '../index.ts';
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
  /** First and last + 1, in bytes from the start of the data. */
  readonly dataOffsets: readonly [begin: number, end: number];
  readonly zeroCopy: boolean;
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
export function entriesOf(container: Container): Entry[] {
  return container.offsetKeys().map((name) => {
    const { dtype, shape, dataOffsets } = container.info(name);
    const { size, byteLength, zeroCopy } = container.getTensor(name);
    return { name, dtype, shape, size, byteLength, dataOffsets, zeroCopy };
  });
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
  const options = { dot: true, bash: true, windows: false, strictSlashes: true, flags: 's' };
  const pattern = picomatch.makeRe(glob, options);
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
  offset: (a, b) => a.dataOffsets[0] - b.dataOffsets[0] || a.dataOffsets[1] - b.dataOffsets[1],
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
