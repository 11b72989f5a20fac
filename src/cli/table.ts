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
const GAP = '  ';

/**
 * Without a terminal, the widest cell that the others of its column are padded to. Wider ones stick
 * out: one name of a megabyte must not make a megabyte of every line.
 */
const MAX_PADDED = 160;

/**
 * Lines of a borderless table. The first column takes what the others leave, and is shortened in
 * its middle; where that leaves too little, columns are left out.
 *
 * Laid out here and not by cli-table3, which takes time with the square of the rows (13 s for
 * 16,000, and 16 s for the 92,000 of a large model when it is given them in pages) and measures
 * text by an older Unicode than the terminals of today.
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
  const widths = natural.map((own, index) => (index === 0 ? Math.min(own, first) : own));

  const line = (cells: readonly string[], paint: (cell: string, index: number) => string) => {
    const last = shown.findLastIndex((index) => cells[index] !== '');
    return shown
      .slice(0, last + 1)
      .map((index, place) => {
        const cell = index === 0 ? fitMiddle(cells[0], first) : cells[index];
        const whole = padded(cell, widths[index], columns[index].align, place === last);
        return cell === '' ? whole : paint(whole, index);
      })
      .join(GAP);
  };

  const titles = columns.map(({ title }) => title);
  const total = shown.reduce((sum, index) => sum + widths[index] + GAP.length, -GAP.length);
  yield line(titles, (cell) => colors.bold(cell));
  yield colors.dim('─'.repeat(Math.max(1, Math.min(total, width))));
  for (const row of rows) yield line(row, (cell, index) => columns[index].color?.(cell) ?? cell);
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
  const others = shown.slice(1).reduce((sum, index) => sum + natural[index] + GAP.length, 0);
  return width - others;
}

function padded(cell: string, width: number, align: Column['align'], last: boolean): string {
  // No white space at the end of lines.
  if (last && align === 'left') return cell;
  const space = ' '.repeat(Math.max(0, width - widthOf(cell)));
  return align === 'left' ? `${cell}${space}` : `${space}${cell}`;
}
