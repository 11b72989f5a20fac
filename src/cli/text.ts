import prettyBytes from 'pretty-bytes';
import stringWidth from 'string-width';
import { escapeText } from '../escape.ts';

const ELLIPSIS = '…';

/**
 * Longest text, in UTF-16 units, that is measured: a name may be as long as a header, and measuring
 * takes a microsecond for each character that is not ASCII.
 */
const MEASURED_UNITS = 1024;

/** Longest text that is shown whole, in UTF-16 units. */
const SHOWN_UNITS = 2 ** 20;

/** Dimensions of a shape that are shown on a terminal. */
const SHOWN_DIMENSIONS = 6;

const graphemes = new Intl.Segmenter();

// Printable Latin, punctuation of ours, and box drawing: string-width takes 30 µs for such a text.
const SINGLE_WIDTH = /^[\u0020-\u007e\u00a1-\u00ac\u00ae-\u02ff…\u2500-\u257f]*$/;

/** Columns that a text takes on a terminal; for a very long one, the most that it may take. */
export function widthOf(text: string): number {
  if (SINGLE_WIDTH.test(text)) return text.length;
  return text.length <= MEASURED_UNITS ? stringWidth(text) : 2 * text.length;
}

/**
 * A text of at most `width` columns, with an ellipsis for what is left out. Names share their
 * beginnings and differ towards their ends, so that one third is kept of the first, two of the last.
 */
export function fitMiddle(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  const head = Math.floor((width - 1) / 3);
  const tail = width - 1 - head;
  return width < 1 ? '' : `${firstColumns(text, head)}${ELLIPSIS}${lastColumns(text, tail)}`;
}

/** A text of at most `width` columns, its end left out. */
export function fitEnd(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  return width < 1 ? '' : `${firstColumns(text, width - 1)}${ELLIPSIS}`;
}

function firstColumns(text: string, width: number): string {
  return takeColumns(charactersOf(text.slice(0, MEASURED_UNITS)), width).join('');
}

function lastColumns(text: string, width: number): string {
  const fromEnd = charactersOf(text.slice(-MEASURED_UNITS)).reverse();
  return takeColumns(fromEnd, width).reverse().join('');
}

function charactersOf(text: string): string[] {
  return Array.from(graphemes.segment(text), ({ segment }) => segment);
}

function takeColumns(characters: readonly string[], width: number): string[] {
  let used = 0;
  const end = characters.findIndex((character) => {
    used += stringWidth(character);
    return used > width;
  });
  return end < 0 ? [...characters] : characters.slice(0, end);
}

/** Parts joined to as few lines as the width allows; one that is too long alone is shortened. */
export function joinToWidth(parts: readonly string[], separator: string, width: number): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    const joined = `${last}${separator}${part}`;
    if (last !== undefined && widthOf(joined) <= width) lines[lines.length - 1] = joined;
    else lines.push(fitEnd(part, width));
  }
  return lines;
}

/** An error's message, for one line: what quotes a file in it is escaped, and not escaped again. */
export function escapeMessage(message: string): string {
  return message.split('\\').map(escapeText).join('\\');
}

/** Printable, and of bounded length: a name may be as long as a header. `--json` has it whole. */
export function shownText(text: string): string {
  if (text.length <= SHOWN_UNITS) return escapeText(text);
  const half = SHOWN_UNITS / 2;
  return `${escapeText(text.slice(0, half))}…${escapeText(text.slice(-half))}`;
}

/** A name, or a path. An empty one would not be seen. */
export function shownName(name: string): string {
  return name === '' ? '""' : shownText(name);
}

const grouped = new Intl.NumberFormat('en-US');

/** `12,345`. */
export function formatCount(count: number): string {
  return grouped.format(count);
}

/** `1 tensor`, `12,345 tensors`. */
export function countOf(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

/** `7.39 GB`, in decimal units. */
export function formatBytes(bytes: number): string {
  return prettyBytes(bytes);
}

/** `129280 × 7168`; on a terminal, the middle is left out of a shape of very many dimensions. */
export function shownShape(shape: readonly number[], width: number): string {
  if (shape.length === 0) return 'scalar';
  if (!Number.isFinite(width) || shape.length <= SHOWN_DIMENSIONS) return shape.join(' × ');
  const half = Math.floor(SHOWN_DIMENSIONS / 2);
  return [...shape.slice(0, half), ELLIPSIS, ...shape.slice(-half)].join(' × ');
}
