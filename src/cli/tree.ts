import { type Entry, type SortKey, type Totals, totalsOf } from './listing.ts';
import { compareNatural } from './natural-order.ts';

/** A module, or a tensor, in the tree of names that are split at their dots. */
export interface TreeNode {
  /** Its own part of the name, which holds dots where modules with a single child are folded. */
  readonly label: string;
  /** The name so far. */
  readonly path: string;
  /** The box characters before the label. */
  readonly lines: string;
  readonly totals: Totals;
  /** The tensor, when it is one, and not a module. */
  readonly tensor?: Entry;
  /** The dtypes of its tensors. */
  readonly dtypes: readonly string[];
}

export interface TreeOptions {
  /** Levels to show. */
  readonly depth: number;
  readonly sort: SortKey;
  readonly reverse: boolean;
}

interface Group {
  /** Where its label starts and ends in the names of its members. */
  readonly start: number;
  readonly end: number;
  readonly members: readonly Entry[];
}

interface Branch {
  readonly group: Group;
  readonly node: Omit<TreeNode, 'lines'>;
}

interface Pending extends Branch {
  readonly level: number;
  /** Box characters before the label, and before those of its children. */
  readonly lines: string;
  readonly childLines: string;
}

/**
 * The nodes from top to bottom.
 *
 * A name may have ten thousand dots, so that nothing here recurses, and modules with a single child
 * are folded into it: what is drawn stays in proportion to the names.
 */
export function* treeNodes(
  entries: readonly Entry[],
  options: TreeOptions,
): Generator<TreeNode, void, undefined> {
  const pending: Pending[] = branchesAt(entries, 0, options)
    .map((branch) => ({ ...branch, level: 1, lines: '', childLines: '' }))
    .reverse();
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { group, node, level, lines, childLines } = next;
    yield { ...node, lines };
    if (isTensor(group) || level >= options.depth) continue;
    const children = branchesAt(group.members, group.end + 1, options);
    for (let index = children.length - 1; index >= 0; index--) {
      const last = index === children.length - 1;
      pending.push({
        ...children[index],
        level: level + 1,
        lines: `${childLines}${last ? '└─ ' : '├─ '}`,
        childLines: `${childLines}${last ? '   ' : '│  '}`,
      });
    }
  }
}

/** The modules and tensors that follow in names that are equal up to `start`, in order. */
function branchesAt(
  members: readonly Entry[],
  start: number,
  { sort, reverse }: TreeOptions,
): Branch[] {
  const branches = segmentsAt(members, start).map((segment) => {
    const group = folded(segment);
    return { group, node: nodeOf(group) };
  });
  const order = branchOrders[sort];
  return branches.sort(reverse ? (a, b) => order(b, a) : order);
}

const byLabel = (a: Branch, b: Branch) => compareNatural(a.node.label, b.node.label);

const branchOrders: Record<SortKey, (a: Branch, b: Branch) => number> = {
  name: byLabel,
  offset: (a, b) => a.group.members[0].rank - b.group.members[0].rank,
  size: (a, b) => b.node.totals.byteLength - a.node.totals.byteLength || byLabel(a, b),
  dtype: (a, b) => compareNatural(a.node.dtypes.join(), b.node.dtypes.join()) || byLabel(a, b),
};

function nodeOf(group: Group): Branch['node'] {
  const { start, end, members } = group;
  const { name } = members[0];
  const node = {
    label: start > end ? '(itself)' : name.slice(start, end),
    path: name.slice(0, end),
    totals: totalsOf(members),
    dtypes: [...new Set(members.map(({ dtype }) => dtype))],
  };
  return isTensor(group) ? { ...node, tensor: members[0] } : node;
}

function isTensor({ members }: Group): boolean {
  return members.length === 1;
}

/** One group for each segment that starts there. */
function segmentsAt(members: readonly Entry[], start: number): Group[] {
  const bySegment = new Map<string, Entry[]>();
  const groups: Group[] = [];
  for (const entry of members) {
    const { name } = entry;
    if (start > name.length) {
      // The name ends where the others go on: a tensor that is called as a module is.
      groups.push({ start, end: name.length, members: [entry] });
      continue;
    }
    const end = endOfSegment(name, start);
    const segment = name.slice(start, end);
    const group = bySegment.get(segment);
    if (group) {
      group.push(entry);
    } else {
      const created = [entry];
      bySegment.set(segment, created);
      groups.push({ start, end, members: created });
    }
  }
  return groups;
}

function endOfSegment(name: string, start: number): number {
  const dot = name.indexOf('.', start);
  return dot < 0 ? name.length : dot;
}

/** A group that goes on for as long as there is one way only to go on. */
function folded({ start, end: ownEnd, members }: Group): Group {
  if (members.length === 1) return { start, end: members[0].name.length, members };
  let end = ownEnd;
  for (;;) {
    const next = segmentsAt(members, end + 1);
    if (next.length > 1) return { start, end, members };
    end = next[0].end;
  }
}
