import { replaceUnprintable } from '../escape.ts';

/**
 * A value as JSON on one line. JSON lets a bidirectional override, or a control character from
 * U+007F on, stand for itself; here it is `\u202e`, which is the same JSON and moves no terminal.
 */
export function toJson(value: unknown): string {
  return replaceUnprintable(JSON.stringify(value), escapeUnits);
}

function escapeUnits(character: string): string {
  let escaped = '';
  for (let unit = 0; unit < character.length; unit++) {
    escaped += `\\u${character.charCodeAt(unit).toString(16).padStart(4, '0')}`;
  }
  return escaped;
}

/** Lines of a field that is an array, with a line for each item, however long that is. */
export function* jsonArray(
  key: string,
  items: Iterable<unknown>,
  { isLast = false } = {},
): Generator<string> {
  yield `  "${key}": [`;
  let previous: string | undefined;
  for (const item of items) {
    if (previous !== undefined) yield `    ${previous},`;
    previous = toJson(item);
  }
  if (previous !== undefined) yield `    ${previous}`;
  yield isLast ? '  ]' : '  ],';
}
