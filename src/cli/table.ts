import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import type { Terminal } from './terminal.ts';
import { fitMiddle, widthOf } from './text.ts';

export interface Column {
  readonly title: string;
  readonly align: 'left' | 'right';
  /** Applied to a padded cell. */
  readonly color?: (cell: string) => string;
  /**
   * The column is left out where the first one would have fewer columns of the terminal than this;
   * those with the highest number go first.
   */
  readonly dropBelow?: number;
}

/** Spaces between two columns. */
const GAP = 2;

/**
 * Without a terminal, the widest cell that the others of its column are padded to. Rows with wider
 * ones stay as they are: one name of a megabyte must not make a megabyte of every line.
 */
const MAX_PADDED = 160;

/** Rows that cli-table3 is given at once: its time grows with their square. */
const PAGE_ROWS = 32;

/**
 * Longer tables are padded here instead: cli-table3 takes 0.1 ms a row (10 s for the 92,000 of a
 * large model, where this takes half a second). They look the same.
 */
const MOST_TABLE_ROWS = 2000;

const EDGES = ['top', 'bottom', 'left', 'mid', 'right'] as const;
const PLACES = ['', '-mid', '-left', '-right'] as const;

/** Neither borders nor rules. */
const BORDERLESS = Object.fromEntries([
  ['middle', ''],
  ...EDGES.flatMap((edge) => PLACES.map((place) => [`${edge}${place}`, ''])),
]);

/**
 * Lines of a borderless table. The first column takes what the others leave, and is shortened in
 * its middle; where that leaves too little, columns are left out.
 *
 * @param rows Cells, which must be printable already, one for each column.
 */
export function* tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { width, colors }: Terminal,
): Generator<string> {
  const natural = columns.map(({ title }) => widthOf(title));
  const maxPadded = Number.isFinite(width) ? width : MAX_PADDED;
  for (const row of rows) {
    for (let index = 0; index < row.length; index++) {
      natural[index] = Math.max(natural[index], Math.min(widthOf(row[index]), maxPadded));
    }
  }
  const shown = shownColumns(columns, natural, width);
  const first = firstWidth(shown, natural, width);
  const widths = shown.map((index) => (index === 0 ? Math.min(natural[0], first) : natural[index]));

  const cellsOf = (row: readonly string[]) =>
    shown.map((index) => (index === 0 ? fitMiddle(row[0], first) : row[index]));
  const alignments = shown.map((index) => columns[index].align);
  const layOut = (page: readonly (readonly string[])[]) => {
    if (rows.length > MOST_TABLE_ROWS)
      return page.map((cells) => padded(cells, widths, alignments));
    const table = new Table({
      chars: BORDERLESS,
      colWidths: widths.map((own) => own + GAP),
      colAligns: alignments,
      style: { 'padding-left': 0, 'padding-right': GAP },
    });
    table.push(...page.map((cells) => [...cells]));
    return table.toString().split('\n').map(withoutTrailingSpace);
  };
  const paint = (cells: readonly string[]) =>
    cells.map((cell, place) => (cell && columns[shown[place]].color?.(cell)) || cell);

  const titles = columns.map(({ title }) => title);
  yield* layOut([shown.map((index) => titles[index] && colors.bold(titles[index]))]);
  const total = widths.reduce((sum, own) => sum + own + GAP, -GAP);
  yield colors.dim('─'.repeat(Math.max(1, Math.min(total, width))));
  for (let start = 0; start < rows.length; start += PAGE_ROWS) {
    let page: string[][] = [];
    for (const cells of rows.slice(start, start + PAGE_ROWS).map(cellsOf)) {
      if (cells.every((cell, place) => widthOf(cell) <= widths[place])) {
        page.push(paint(cells));
        continue;
      }
      if (page.length > 0) yield* layOut(page);
      page = [];
      yield paint(cells).join(' '.repeat(GAP));
    }
    if (page.length > 0) yield* layOut(page);
  }
}

function shownColumns(
  columns: readonly Column[],
  natural: readonly number[],
  width: number,
): number[] {
  let shown = columns.map((_, index) => index);
  const steps = [...new Set(columns.map(({ dropBelow = 0 }) => dropBelow))].sort((a, b) => b - a);
  for (const step of steps) {
    if (step === 0 || firstWidth(shown, natural, width) >= Math.min(step, natural[0])) break;
    shown = shown.filter((index) => columns[index].dropBelow !== step);
  }
  return shown;
}

/** What the others leave for the first column. */
function firstWidth(shown: readonly number[], natural: readonly number[], width: number): number {
  const others = shown.slice(1).reduce((sum, index) => sum + natural[index] + GAP, 0);
  return width - others;
}

function padded(
  cells: readonly string[],
  widths: readonly number[],
  alignments: readonly Column['align'][],
): string {
  const whole = cells.map((cell, place) => {
    const space = ' '.repeat(Math.max(0, widths[place] - widthOf(stripVTControlCharacters(cell))));
    return alignments[place] === 'left' ? `${cell}${space}` : `${space}${cell}`;
  });
  return withoutTrailingSpace(whole.join(' '.repeat(GAP)));
}

function withoutTrailingSpace(line: string): string {
  return line.trimEnd();
}
