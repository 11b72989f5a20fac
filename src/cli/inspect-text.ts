import { escapeText } from '../escape.ts';
import type { Inspection } from './inspect.ts';
import { type Entry, isSharded, totalsByDtype, totalsOf } from './listing.ts';
import { metadataLines } from './metadata-text.ts';
import { type Column, tableLines } from './table.ts';
import type { Terminal } from './terminal.ts';
import {
  countOf,
  fitMiddle,
  formatBytes,
  formatCount,
  joinToWidth,
  shownName,
  shownShape,
} from './text.ts';
import { type TreeNode, treeNodes } from './tree.ts';

/** What a person reads of a file. */
export function* inspectionLines(inspection: Inspection, terminal: Terminal): Generator<string> {
  const { entries, tree } = inspection;
  yield* heading(inspection, terminal);
  if (entries.length > 0) {
    yield '';
    yield* tree
      ? treeTable([...treeNodes(entries, tree)], terminal)
      : tensorTable(entries, terminal);
    yield '';
    yield* totalsTable(entries, terminal);
  }
  const { metadata } = inspection.container;
  if (Object.keys(metadata).length === 0) return;
  yield '';
  yield terminal.colors.bold('metadata');
  yield* metadataLines(metadata, terminal);
}

function* heading(
  { path, container, entries, filtered }: Inspection,
  { width, colors }: Terminal,
): Generator<string> {
  const shownPath = fitMiddle(escapeText(path), width);
  const { parameters, byteLength } = totalsOf(entries);
  const facts = filtered
    ? [
        `${formatCount(entries.length)} of ${countOf(container.size, 'tensor')}`,
        countOf(parameters, 'parameter'),
        `${formatBytes(byteLength)} of ${formatBytes(container.byteLength)}`,
      ]
    : [
        countOf(entries.length, 'tensor'),
        countOf(parameters, 'parameter'),
        formatBytes(container.byteLength),
      ];
  if (entries.length > 0) facts.push(zeroCopyFact(entries));
  if (isSharded(container)) facts.push(countOf(container.shards.length, 'shard'));
  yield colors.bold(shownPath);
  yield* joinToWidth(facts, ' · ', width);
}

function zeroCopyFact(entries: readonly Entry[]): string {
  const zeroCopy = entries.filter((entry) => entry.zeroCopy).length;
  if (zeroCopy === entries.length) return 'all zero-copy';
  return zeroCopy === 0 ? 'none zero-copy' : `${formatCount(zeroCopy)} zero-copy`;
}

function tensorTable(entries: readonly Entry[], terminal: Terminal): Generator<string> {
  const { colors } = terminal;
  const sharded = entries.some(({ shard }) => shard !== undefined);
  const columns: Column[] = [
    { title: 'name', align: 'left' },
    { title: 'dtype', align: 'left', color: colors.cyan, dropBelow: 10 },
    { title: 'shape', align: 'left', dropBelow: 16 },
    { title: 'bytes', align: 'right', dropBelow: 12 },
    { title: 'begin', align: 'right', color: colors.dim, dropBelow: 44 },
    { title: 'end', align: 'right', color: colors.dim, dropBelow: 44 },
    { title: 'zero-copy', align: 'left', color: zeroCopyColor(terminal), dropBelow: 40 },
    ...(sharded ? [{ title: 'shard', align: 'left', dropBelow: 48 } as const] : []),
  ];
  const rows = entries.map((entry) => [
    shownName(entry.name),
    entry.dtype,
    shownShape(entry.shape, terminal.width),
    formatBytes(entry.byteLength),
    `${entry.dataOffsets[0]}`,
    `${entry.dataOffsets[1]}`,
    entry.zeroCopy ? 'yes' : 'no',
    ...(sharded ? [shownName(entry.shard ?? '')] : []),
  ]);
  return tableLines(columns, rows, terminal);
}

function treeTable(nodes: readonly TreeNode[], terminal: Terminal): Generator<string> {
  const { colors } = terminal;
  const columns: Column[] = [
    { title: 'module', align: 'left' },
    { title: 'tensors', align: 'right', dropBelow: 24 },
    { title: 'parameters', align: 'right', dropBelow: 12 },
    { title: 'bytes', align: 'right', dropBelow: 10 },
    { title: 'dtype', align: 'left', color: colors.cyan, dropBelow: 28 },
    { title: 'shape', align: 'left', color: colors.dim, dropBelow: 32 },
  ];
  const rows = nodes.map(({ label, lines, totals, tensor, dtypes }) => [
    `${lines}${shownName(label)}`,
    tensor ? '' : formatCount(totals.tensors),
    formatCount(totals.parameters),
    formatBytes(totals.byteLength),
    dtypes.length === 1 ? dtypes[0] : 'mixed',
    tensor ? shownShape(tensor.shape, terminal.width) : '',
  ]);
  return tableLines(columns, rows, terminal);
}

function* totalsTable(entries: readonly Entry[], terminal: Terminal): Generator<string> {
  const columns: Column[] = [
    { title: 'dtype', align: 'left', color: terminal.colors.cyan },
    { title: 'tensors', align: 'right', dropBelow: 6 },
    { title: 'parameters', align: 'right', dropBelow: 4 },
    { title: 'bytes', align: 'right', dropBelow: 2 },
  ];
  const totals = totalsByDtype(entries);
  const rows = totals.length > 1 ? [...totals, ['total', totalsOf(entries)] as const] : totals;
  const cells = rows.map(([title, { tensors, parameters, byteLength }]) => [
    title,
    formatCount(tensors),
    formatCount(parameters),
    formatBytes(byteLength),
  ]);
  yield* tableLines(columns, cells, terminal);
}

function zeroCopyColor({ colors }: Terminal): (cell: string) => string {
  return (cell) => (cell.startsWith('no') ? colors.yellow(cell) : colors.dim(cell));
}
