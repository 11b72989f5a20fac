import { escapeText } from '../escape.ts';
import { CommandError } from './command-error.ts';

/** Alternatives that one range may stand for: of layers and experts, no model has as many. */
const MOST_ALTERNATIVES = 1000;

const INTEGER = /^-?\d{1,15}$/;
const LETTER = /^[A-Za-z]$/;
const ZERO_AT_START = /^-?0\d/;

/**
 * The source of a regular expression for `{1..10}`, `{01..10}`, `{10..1..3}` or `{a..f}`, each of which
 * means what it does in bash.
 *
 * @param parts what stands between the braces and the dots
 * @throws {CommandError} for any other range, and for one of too many
 */
export function bracePattern(parts: readonly string[]): string {
  const fail = (what: string) =>
    new CommandError(`--filter: {${escapeText(parts.join('..'))}} ${what}`);
  const [from = '', to = '', step = '1', ...more] = parts;
  const isOf = (kind: RegExp) => kind.test(from) && kind.test(to);
  if (!(isOf(INTEGER) || isOf(LETTER)) || !INTEGER.test(step) || more.length > 0) {
    throw fail('is no range from a number to a number, or from a letter to a letter');
  }
  const isNumeric = isOf(INTEGER);
  const [first, last] = [from, to].map((end) => (isNumeric ? Number(end) : end.charCodeAt(0)));
  const apart = Math.abs(Number(step)) || 1;
  const count = Math.floor(Math.abs(last - first) / apart) + 1;
  if (count > MOST_ALTERNATIVES) {
    throw fail(`stands for ${count} names; at most ${MOST_ALTERNATIVES} are allowed`);
  }
  const width = [from, to].some((end) => ZERO_AT_START.test(end))
    ? Math.max(from.length, to.length)
    : 0;
  const alternatives = Array.from({ length: count }, (_, i) => {
    const value = first + Math.sign(last - first) * apart * i;
    return isNumeric ? padded(value, width) : String.fromCharCode(value);
  });
  return `(?:${alternatives.join('|')})`;
}

/** With zeros behind the sign. */
function padded(value: number, width: number): string {
  const digits = `${Math.abs(value)}`;
  return value < 0 ? `-${digits.padStart(width - 1, '0')}` : digits.padStart(width, '0');
}
