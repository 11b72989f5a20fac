/** Longest name shown whole, in UTF-16 units: names may be as long as a header. */
const SHOWN_NAME_UNITS = 120;

/**
 * What a terminal may act on, or a reader may not see: control, format (bidirectional overrides,
 * zero-width), private-use, unassigned and lone surrogate code points, and every separator but the
 * plain space.
 */
export const UNPRINTABLE = /(?! )[\p{C}\p{Z}]/gu;

function escapeCodePoint(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}

/** Text from a file with everything replaced that a terminal would act on or hide. */
export function escapeText(text: string): string {
  return text.replaceAll('\\', '\\\\').replace(UNPRINTABLE, escapeCodePoint);
}

/** A name from a file, for a message: quoted, escaped, and shortened in its middle when long. */
export function quoteName(name: string): string {
  const half = SHOWN_NAME_UNITS / 2;
  const shown =
    name.length <= SHOWN_NAME_UNITS ? name : `${name.slice(0, half)}…${name.slice(-half)}`;
  return `"${escapeText(shown).replaceAll('"', '\\"')}"`;
}
