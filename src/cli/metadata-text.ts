import type { Terminal } from './terminal.ts';
import { fitEnd, fitMiddle, shownName, shownText, widthOf } from './text.ts';

/** Widest column of keys on a terminal, as a part of its width. */
const KEYS_PART = 1 / 3;

/** A line for each key. */
export function* metadataLines(
  metadata: Readonly<Record<string, string>>,
  { width, colors }: Terminal,
): Generator<string> {
  const pairs = Object.entries(metadata);
  const limit = Math.max(1, Math.floor(width * KEYS_PART));
  const keys = pairs.map(([key]) => fitMiddle(shownName(key), limit));
  const keyWidth = keys.reduce((widest, key) => Math.max(widest, widthOf(key)), 0);
  for (const [index, [, value]] of pairs.entries()) {
    const key = keys[index];
    const space = ' '.repeat(Number.isFinite(width) ? keyWidth - widthOf(key) + 2 : 2);
    const shown = fitEnd(shownText(value), width - keyWidth - 2);
    yield `${colors.cyan(key)}${space}${shown}`.trimEnd();
  }
}
