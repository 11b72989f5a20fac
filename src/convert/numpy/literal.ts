/** A value of the literals that headers of numpy are written in. */
export type Literal = string | number | boolean | Literal[] | LiteralTuple | Map<string, Literal>;

/** Told from a list, as Python tells them. */
export class LiteralTuple {
  readonly items: readonly Literal[];
  constructor(items: readonly Literal[]) {
    this.items = items;
  }
}

/** Why a text is no literal, and where. */
export class LiteralFault extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

/** Descriptions of structured dtypes are nested; no others are. */
const MOST_DEPTH = 16;

/**
 * Reads a Python literal of strings, non-negative integers, `True` and `False`, tuples, lists, and
 * dicts with strings as keys: what `numpy.save` writes, and nothing besides. It is read as data, character by
 * character; nothing is evaluated.
 *
 * @throws {LiteralFault}
 */
export function parseLiteral(text: string): Literal {
  const reader = new LiteralReader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

class LiteralReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): Literal {
    if (depth > MOST_DEPTH) throw this.#fault('nested too deeply');
    const first = this.#peek();
    if (first === '{') return this.#dict(depth);
    if (first === '(') return this.#tuple(depth);
    if (first === '[') return this.#items(']', depth).items;
    if (first === "'" || first === '"') return this.#string(first);
    const word = this.#match(/True|False|(?:0|[1-9]\d{0,15})L?(?![\w.])/y);
    if (word === undefined) throw this.#fault('expected a value');
    if (word === 'True' || word === 'False') return word === 'True';
    // Python 2 has written an L behind long integers.
    const number = Number.parseInt(word, 10);
    if (!Number.isSafeInteger(number)) throw this.#fault('a number beyond all bounds');
    return number;
  }

  end(): void {
    if (this.#peek() !== '') throw this.#fault('expected the end');
  }

  #dict(depth: number): Map<string, Literal> {
    const entries = new Map<string, Literal>();
    this.#at++;
    while (this.#peek() !== '}') {
      const quote = this.#peek();
      if (quote !== "'" && quote !== '"') throw this.#fault('expected a key');
      const key = this.#string(quote);
      if (entries.has(key)) throw this.#fault('a key that is there twice');
      if (this.#peek() !== ':') throw this.#fault('expected a colon');
      this.#at++;
      entries.set(key, this.value(depth + 1));
      this.#separator('}');
    }
    this.#at++;
    return entries;
  }

  /** What is in parentheses without a comma is no tuple. */
  #tuple(depth: number): Literal {
    const { items, commas } = this.#items(')', depth);
    return items.length === 1 && commas === 0 ? items[0] : new LiteralTuple(items);
  }

  #items(close: string, depth: number): { items: Literal[]; commas: number } {
    const items: Literal[] = [];
    let commas = 0;
    this.#at++;
    while (this.#peek() !== close) {
      items.push(this.value(depth + 1));
      commas += this.#separator(close);
    }
    this.#at++;
    return { items, commas };
  }

  /** A comma, unless what `close` ends is at its end. */
  #separator(close: string): number {
    const next = this.#peek();
    if (next === close) return 0;
    if (next !== ',') throw this.#fault(`expected a comma or ${close}`);
    this.#at++;
    return 1;
  }

  #string(quote: string): string {
    this.#at++;
    // Keys and dtypes have no need of escapes; names of fields have, but are not read: they stay as they are written.
    const raw = this.#match(
      quote === "'" ? /(?:[^'\\\r\n]|\\[^\r\n])*/y : /(?:[^"\\\r\n]|\\[^\r\n])*/y,
    );
    if (this.#text[this.#at] !== quote) throw this.#fault('a string without an end');
    this.#at++;
    return raw ?? '';
  }

  /** The next character that is no space. */
  #peek(): string {
    while (/^[ \t\r\n]$/.test(this.#text.charAt(this.#at))) this.#at++;
    return this.#text.charAt(this.#at);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const [found] = pattern.exec(this.#text) ?? [];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #fault(message: string): LiteralFault {
    return new LiteralFault(message, this.#at);
  }
}
