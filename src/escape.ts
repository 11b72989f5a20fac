/** Longest name shown whole, in UTF-16 units: names may be as long as a header. */
const SHOWN_NAME_UNITS = 120;

/**
 * What a terminal may act on, or a reader may not see: control, format (bidirectional overrides,
 * zero-width), private-use, unassigned and lone surrogate code points, and every separator but the
 * plain space.
 */
const UNPRINTABLE = /(?! )[\p{C}\p{Z}]/gu;

function escapeCodePoint(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** UTF-16 units escaped at once: V8 aborts the process when one replacement has too many matches. */
const PIECE_UNITS = 2 ** 16;

/** `text` with each match of {@link UNPRINTABLE} replaced, however many there are. */
export function replaceUnprintable(text: string, replace: (match: string) => string): string {
  if (text.length <= PIECE_UNITS) return text.replace(UNPRINTABLE, replace);
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + PIECE_UNITS, text.length);
    // Not between the two halves of a surrogate pair.
    if ((text.charCodeAt(end - 1) & 0xfc00) === 0xd800 && end < text.length) end++;
    pieces.push(text.slice(start, end).replace(UNPRINTABLE, replace));
    start = end;
  }
  return pieces.join('');
}

/** Text from a file with everything replaced that a terminal would act on or hide. */
export function escapeText(text: string): string {
  return replaceUnprintable(text.replaceAll('\\', '\\\\'), escapeCodePoint);
}

/** A name from a file, for a message: quoted, escaped, and shortened in its middle when long. */
export function quoteName(name: string): string {
  const half = SHOWN_NAME_UNITS / 2;
  const shown =
    name.length <= SHOWN_NAME_UNITS ? name : `${name.slice(0, half)}…${name.slice(-half)}`;
  return `"${escapeText(shown).replaceAll('"', '\\"')}"`;
}
