import { escapeText } from '../../escape.ts';
import { type Column, tableLines } from '../table.ts';
import type { Terminal } from '../terminal.ts';
import {
  countOf,
  fitEnd,
  fitMiddle,
  formatBytes,
  formatCount,
  joinToWidth,
  shownName,
  shownShape,
  shownText,
} from '../text.ts';
import {
  type Change,
  type Comparison,
  isSame,
  type MetadataChange,
  type Side,
  type TensorFacts,
} from './comparison.ts';

/** Columns that a path has at least, where it stands with facts. */
const LEAST_PATH = 12;
/** Digits of a difference that are shown. */
const SHOWN_DIGITS = 4;
/** Digits before the point from which on a number is written with an exponent. */
const LONG_DIGITS = 9;

/** What a person reads of two files. */
export function* diffLines(comparison: Comparison, terminal: Terminal): Generator<string> {
  const { a, b, onlyInA, onlyInB, changes, metadata, headersOnly } = comparison;
  if (!isSame(comparison)) {
    yield sideLine('A', a, terminal);
    yield sideLine('B', b, terminal);
    yield '';
  }
  yield* section('only in A', onlyInA, terminal, onlyTable);
  yield* section('only in B', onlyInB, terminal, onlyTable);
  yield* section('different', changes, terminal, headersOnly ? typeTable : changeTable);
  yield* section('metadata', metadata, terminal, metadataLines);
  yield* joinToWidth(summary(comparison), ', ', terminal.width);
}

function sideLine(letter: string, { path, size, byteLength }: Side, terminal: Terminal): string {
  const { width, colors } = terminal;
  const facts = `  (${countOf(size, 'tensor')}, ${formatBytes(byteLength)})`;
  const room = width - letter.length - 2;
  // Where both do not fit, it matters more which file it is than how large.
  const both = room - facts.length;
  const shown = fitMiddle(escapeText(path), both < LEAST_PATH ? room : both);
  return `${letter}  ${shown}${both < LEAST_PATH ? '' : colors.dim(facts)}`;
}

function* section<T>(
  title: string,
  items: readonly T[],
  terminal: Terminal,
  lines: (items: readonly T[], terminal: Terminal) => Iterable<string>,
): Generator<string> {
  if (items.length === 0) return;
  yield terminal.colors.bold(title);
  yield* lines(items, terminal);
  yield '';
}

function onlyTable(tensors: readonly TensorFacts[], terminal: Terminal): Generator<string> {
  const columns: Column[] = [
    { title: 'name', align: 'left' },
    { title: 'dtype', align: 'left', color: terminal.colors.cyan, dropBelow: 10 },
    { title: 'shape', align: 'left', dropBelow: 16 },
    { title: 'bytes', align: 'right', dropBelow: 12 },
  ];
  const rows = tensors.map(({ name, dtype, shape, byteLength }) => [
    shownName(name),
    dtype,
    shownShape(shape, terminal.width),
    formatBytes(byteLength),
  ]);
  return tableLines(columns, rows, terminal);
}

function typeTable(changes: readonly Change[], terminal: Terminal): Generator<string> {
  const rows = changes.map((change) => typeCells(change, terminal));
  return tableLines(typeColumns(terminal), rows, terminal);
}

function changeTable(changes: readonly Change[], terminal: Terminal): Generator<string> {
  const columns: Column[] = [
    ...typeColumns(terminal),
    { title: 'differing', align: 'right', dropBelow: 8 },
    { title: 'of', align: 'right', dropBelow: 12 },
    { title: 'largest |A − B|', align: 'left', dropBelow: 8 },
  ];
  const rows = changes.map((change) => [...typeCells(change, terminal), ...elementCells(change)]);
  return tableLines(columns, rows, terminal);
}

function typeColumns({ colors }: Terminal): Column[] {
  return [
    { title: 'name', align: 'left' },
    { title: 'dtype', align: 'left', color: colors.cyan, dropBelow: 10 },
    { title: 'shape', align: 'left', dropBelow: 14 },
  ];
}

function typeCells({ a, b }: Change, { width }: Terminal): string[] {
  const [shapeOfA, shapeOfB] = [shownShape(a.shape, width), shownShape(b.shape, width)];
  return [
    shownName(a.name),
    a.dtype === b.dtype ? a.dtype : `${a.dtype} → ${b.dtype}`,
    a.shape.join() === b.shape.join() ? shapeOfA : `${shapeOfA} → ${shapeOfB}`,
  ];
}

function elementCells({ a, elements }: Change): string[] {
  if (elements === undefined) return ['', '', ''];
  const { differing, largest, nans } = elements;
  const facts = [
    ...(largest === undefined ? [] : [shownDifference(largest)]),
    ...(nans === 0 ? [] : [`${formatCount(nans)} NaN`]),
  ];
  const count = differing === 0 ? 'none' : formatCount(differing);
  return [count, formatCount(a.size), facts.join(', ')];
}

function shownDifference(difference: number): string {
  const isLong = Number.isFinite(difference) && difference >= 10 ** LONG_DIGITS;
  if (isLong) return difference.toExponential(SHOWN_DIGITS - 1);
  return `${Number(difference.toPrecision(SHOWN_DIGITS))}`;
}

function* metadataLines(
  changes: readonly MetadataChange[],
  { width, colors }: Terminal,
): Generator<string> {
  for (const { key, a, b } of changes) {
    const line = (letter: string, value: string) =>
      fitEnd(`${letter}  ${shownName(key)}  ${shownText(value)}`, width).trimEnd();
    if (a !== undefined) yield colors.red(line('A', a));
    if (b !== undefined) yield colors.green(line('B', b));
  }
}

function summary(comparison: Comparison): string[] {
  const { same, changes, onlyInA, onlyInB, metadata, headersOnly } = comparison;
  const tensors = countOf(same, 'tensor');
  if (isSame(comparison)) {
    return headersOnly ? [`the headers are the same: ${tensors}`] : [`the same: ${tensors}`];
  }
  const counts = [
    [changes.length, 'different'],
    [onlyInA.length, 'only in A'],
    [onlyInB.length, 'only in B'],
  ] as const;
  return [
    headersOnly ? `${tensors} with the same headers` : `${tensors} the same`,
    ...counts
      .filter(([count]) => count > 0)
      .map(([count, what]) => `${formatCount(count)} ${what}`),
    ...(metadata.length > 0 ? [countOf(metadata.length, 'metadata key')] : []),
  ];
}
