// Headers from a grammar: mostly JSON of the right kind, with what readers of JSON disagree on.
import { ALL_DTYPES, DTYPE_BITS, rawFile } from '../support/build.ts';
import type { Random } from './random.ts';

const SPACES = ['', '', '', '', '', ' ', '\n', '\t', '\r', '  \n', '\u000b', '\u00a0', '\f'];
const USUAL_SPACES = SPACES.slice(0, 10);

const NUMBERS = [
  ...['0', '1', '2', '3', '4', '8', '16', '255', '65536', '4294967295', '4294967296'],
  ...['9007199254740991', '9007199254740992', '9007199254740993', '18014398509481984'],
  ...['9223372036854775807', '9223372036854775808', '18446744073709551615', '18446744073709551616'],
  ...['-0', '-1', '-9223372036854775808', '-9223372036854775809', '00', '01', '1.0', '1.', '.5'],
  ...[
    '1e0',
    '1E2',
    '1e+2',
    '1e-2',
    '0e0',
    '1e308',
    '1.8e308',
    '1e309',
    '1e400',
    '-1e400',
    '1e-400',
  ],
  ...['1e', '1e+', '+1', '0x10', '1_0', 'NaN', 'Infinity', '-Infinity', '-', '9'.repeat(400)],
];

const ESCAPES = [
  ...['\\"', '\\\\', '\\/', '\\b', '\\f', '\\n', '\\r', '\\t', '\\u0041', '\\u0000', '\\u00e9'],
  ...['\\ud83d\\ude00', '\\uD83D\\uDE00', '\\ud800', '\\udc00', '\\ud800\\u0041', '\\ud800\\ud800'],
  ...['\\u', '\\u12', '\\u12g4', '\\x41', '\\U0041', "\\'", '\\0', '\\', '\\\n'],
];

const PIECES = [
  ...['a', 'b', 'w', 'weight', 'model.layers.0', '0', ' ', '/', '__proto__', 'constructor', ''],
  ...['é', '\u{1f600}', '\ufeff', '\u2028', '\u007f', '\u0080', '\uffff', '\u{10ffff}', '\uff5e'],
];

/** Bytes that no string may have. */
const RAW = ['\u0000', '\n', '\u001f', '\t'].map((text) => Buffer.from(text));
const NOT_UTF8 = [
  '80',
  'c0af',
  'c1bf',
  'e08080',
  'eda080',
  'f4908080',
  'f8888080',
  'ff',
  'c3',
  'e282',
];

const FIELDS = ['dtype', 'shape', 'data_offsets'];
const OTHER_FIELDS = [
  'x',
  '',
  'Dtype',
  'dtype ',
  'shapes',
  'data_offset',
  '__metadata__',
  'd\\u0074ype',
];

const LITERALS = [
  'null',
  'true',
  'false',
  'True',
  'nul',
  'undefined',
  'None',
  '//',
  '""',
  '{}',
  '[]',
];

/** Makes one header; wrong things come once in `care` times where they could. */
export class HeaderGrammar {
  #end = 0;
  readonly #names: string[] = [];
  readonly #random: Random;
  readonly #care: number;

  constructor(random: Random) {
    this.#random = random;
    this.#care = random.pick([15, 60, 400, 2000]);
  }

  /** A whole file: the data is mostly as long as the header says. */
  file(): Buffer {
    const random = this.#random;
    const header = Buffer.from(this.#header(), 'latin1');
    const off = this.#wrong() ? random.pick([-1, 1, -8, 3]) : 0;
    const data = Buffer.alloc(Math.max(0, Math.min(this.#end, 1 << 16) + off), 0x5a);
    const length = this.#wrong()
      ? random.pick([0n, 1n, 2n ** 63n, 2n ** 64n - 1n, 100_000_001n, BigInt(header.length + 1)])
      : undefined;
    return rawFile(header, data, length);
  }

  #wrong(): boolean {
    return this.#random.once(this.#care);
  }

  /** All text is kept as Latin-1 of its UTF-8, so that it may be no UTF-8, too. */
  #utf8(text: string): string {
    return Buffer.from(text).toString('latin1');
  }

  #space(): string {
    return this.#utf8(this.#random.pick(this.#wrong() ? SPACES : USUAL_SPACES));
  }

  #list(items: readonly string[]): string {
    const separator = () => (this.#wrong() ? this.#random.pick(['', ',,', ';']) : ',');
    let text = this.#space();
    for (const [i, item] of items.entries())
      text += `${i > 0 ? separator() : ''}${this.#space()}${item}${this.#space()}`;
    return this.#wrong() ? `${text},` : text;
  }

  #closed(open: string, items: readonly string[], close: string): string {
    const ends = this.#wrong() ? this.#random.pick(['', ']', '}', close + close]) : close;
    return `${open}${this.#list(items)}${ends}`;
  }

  #object(fields: readonly string[]): string {
    return this.#closed('{', fields, '}');
  }

  #array(items: readonly string[]): string {
    return this.#closed('[', items, ']');
  }

  #field(key: string, value: string): string {
    const colon = this.#wrong() ? this.#random.pick(['', '::', '=', ',']) : ':';
    return `${key}${this.#space()}${colon}${this.#space()}${value}`;
  }

  #string(): string {
    const random = this.#random;
    const parts = random.some(0, () => {
      if (this.#wrong()) return random.pick(RAW).toString('latin1');
      if (this.#wrong()) return Buffer.from(random.pick(NOT_UTF8), 'hex').toString('latin1');
      if (random.once(4)) return random.pick(this.#wrong() ? ESCAPES : ESCAPES.slice(0, 13));
      return this.#utf8(random.pick(PIECES));
    });
    return `"${parts.join('')}${this.#wrong() ? '' : '"'}`;
  }

  /** The same text as a string of another spelling. */
  #respelt(text: string): string {
    if (!this.#random.once(6)) return `"${text}"`;
    const at = this.#random.below(text.length);
    const hex = text.charCodeAt(at).toString(16).padStart(4, '0');
    return `"${text.slice(0, at)}\\u${hex}${text.slice(at + 1)}"`;
  }

  /** Anything: for fields that are ignored, and for those that are not. */
  #value(depth: number): string {
    const random = this.#random;
    const kind = random.below(depth > 5 ? 4 : 6);
    if (kind === 0) return random.pick(this.#wrong() ? LITERALS : LITERALS.slice(0, 3));
    if (kind === 1) return this.#number();
    if (kind < 4) return this.#string();
    if (kind === 4) return this.#array(random.some(0, () => this.#value(depth + 1)));
    return this.#object(random.some(0, () => this.#field(this.#string(), this.#value(depth + 1))));
  }

  #number(): string {
    const random = this.#random;
    return random.once(3) || this.#wrong() ? random.pick(NUMBERS) : `${random.below(100)}`;
  }

  #entry(): string {
    const random = this.#random;
    const dtype = random.pick(ALL_DTYPES);
    const shape = random.some(0, () => (random.once(8) ? 0 : 1 + random.below(6)));
    if (DTYPE_BITS[dtype] < 8 && !this.#wrong()) shape.push(4);
    const bytes = Math.ceil((shape.reduce((a, b) => a * b, 1) * DTYPE_BITS[dtype]) / 8);
    const begin = this.#end + (this.#wrong() ? random.pick([-1, 1]) : 0);
    this.#end += bytes + (this.#wrong() ? random.pick([-1, 1]) : 0);
    const dtypeText = this.#wrong()
      ? random.pick([
          '"F8"',
          '"f32"',
          '""',
          '{"F32":null}',
          '{"F32":1}',
          '{"F32":null,"U8":null}',
          '["F32"]',
          '32',
        ])
      : this.#respelt(dtype);
    const numbers = (items: readonly number[]) =>
      this.#array(items.map((item) => (this.#wrong() ? random.pick(NUMBERS) : `${item}`)));
    const offsets = this.#wrong()
      ? [begin]
      : this.#wrong()
        ? [begin, this.#end, 0]
        : [begin, this.#end];
    const values = [dtypeText, numbers(shape), numbers(offsets)].map((value) =>
      this.#wrong() ? this.#value(3) : value,
    );
    if (this.#wrong()) return this.#array(values);
    let fields = values.map((value, i) => this.#field(this.#respelt(FIELDS[i]), value));
    if (this.#wrong()) fields.push(this.#field(this.#respelt(random.pick(FIELDS)), this.#value(3)));
    if (this.#wrong()) fields.splice(random.below(3), 1);
    while (random.once(5)) {
      const name = random.once(2) ? `"${random.pick(OTHER_FIELDS)}"` : this.#string();
      fields.push(this.#field(name, this.#value(2)));
    }
    if (random.once(3)) fields = random.shuffle(fields);
    return this.#object(fields);
  }

  #name(): string {
    const random = this.#random;
    if (this.#wrong() && this.#names.length > 0) return random.pick(this.#names);
    // Numbered, so that names are mostly their own.
    const name = random.once(3)
      ? this.#string()
      : `"${this.#names.length}.${random.pick(['weight', 'bias', 'é'].map((text) => this.#utf8(text)))}"`;
    this.#names.push(name);
    return name;
  }

  #metadata(): string {
    const random = this.#random;
    if (this.#wrong()) return this.#value(2);
    if (random.once(6)) return 'null';
    let number = 0;
    const key = () => (random.once(3) ? this.#string() : `"${number++}"`);
    const value = () => (this.#wrong() ? this.#value(3) : this.#string());
    return this.#object(random.some(0, () => this.#field(key(), value())));
  }

  #header(): string {
    const random = this.#random;
    const fields = random.some(0, () => this.#field(this.#name(), this.#entry()));
    const times = this.#wrong() ? 2 : random.below(2);
    for (let i = 0; i < times; i++) {
      const place = random.once(2) ? 0 : random.below(fields.length + 1);
      fields.splice(place, 0, this.#field(this.#respelt('__metadata__'), this.#metadata()));
    }
    const text = this.#object(random.once(4) ? random.shuffle(fields) : fields);
    const behind = this.#wrong()
      ? random.pick(['\u0000', 'x', '{}', ',', '\ufeff'])
      : ' '.repeat(random.below(9));
    const before = this.#wrong() ? random.pick(['\ufeff', ' ', '\n', '//']) : '';
    return this.#utf8(before) + text + this.#utf8(behind);
  }
}
