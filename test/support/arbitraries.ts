import fc from 'fast-check';
import type { Dtype } from '../../src/index.ts';
import { ALL_DTYPES, patternBytes, rawFile, tensorBytes } from './build.ts';

export interface ModelTensor {
  name: string;
  dtype: Dtype;
  shape: number[];
  data: Uint8Array;
  /** Where the data lies: relative to the start of all data. */
  begin: number;
  end: number;
}

/** The contents of a valid file. */
export interface Model {
  /** In the header's order. */
  tensors: ModelTensor[];
  metadata: [key: string, value: string][] | undefined;
  /** All data, in the order of the offsets. */
  data: Uint8Array;
}

const AWKWARD_NAMES = [
  '',
  ' ',
  '__proto__',
  'constructor',
  'hasOwnProperty',
  '0',
  '-1',
  '\0',
  '\u007f',
  '"',
  '\\',
  '\\u0041',
  '/',
  '\ufeff',
  '\ufffd',
  '\uff5e',
  '\u{1f600}',
  '\u{10ffff}',
  '__metadata',
  'dtype',
];

/** Any Unicode text without lone surrogates; `binary` units are code points of every kind. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: 'binary', maxLength: 12 }) },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme-ascii', maxLength: 20 }) },
  { weight: 1, arbitrary: fc.constantFrom(...AWKWARD_NAMES) },
);

/** Any text that a tensor may be called. */
export const anyName = anyText.filter((name) => name !== '__metadata__');

/** Any dtype with a shape of whole bytes: scalars and dimensions of 0 included. */
const anyType = fc
  .record({
    dtype: fc.constantFrom(...ALL_DTYPES),
    dimensions: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }),
  })
  .map(({ dtype, dimensions }) => {
    const whole = Number.isInteger(tensorBytes(dtype, dimensions));
    return { dtype, shape: whole ? dimensions : [...dimensions, 4] };
  });

/** A valid file's contents: header entries and data each in an order of their own. */
export const anyModel: fc.Arbitrary<Model> = fc
  .uniqueArray(fc.record({ name: anyName, type: anyType, seed: fc.nat(255), rank: fc.nat() }), {
    selector: ({ name }) => name,
    maxLength: 9,
  })
  .chain((sources) =>
    fc.record({
      sources: fc.constant(sources),
      metadata: fc.option(
        fc.uniqueArray(fc.tuple(anyText, anyText), { selector: ([key]) => key, maxLength: 4 }),
        { nil: undefined },
      ),
    }),
  )
  .map(({ sources, metadata }) => {
    const tensors = sources.map(({ name, type, seed }) => ({
      name,
      ...type,
      data: patternBytes(tensorBytes(type.dtype, type.shape), seed),
      begin: 0,
      end: 0,
    }));
    const byRank = tensors.map((tensor, i) => ({ tensor, rank: sources[i].rank }));
    byRank.sort((a, b) => a.rank - b.rank);
    let end = 0;
    for (const { tensor } of byRank) {
      tensor.begin = end;
      end += tensor.data.length;
      tensor.end = end;
    }
    const data = Buffer.concat(byRank.map(({ tensor }) => tensor.data));
    return { tensors, metadata, data };
  });

/** The header as the reference writes it: compact, fields in their order, metadata first. */
export function compactHeader({ tensors, metadata }: Model): string {
  const parts = tensors.map(
    ({ name, dtype, shape, begin, end }) =>
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`,
  );
  if (metadata) parts.unshift(`"__metadata__":${compactStrings(metadata)}`);
  return `{${parts.join(',')}}`;
}

function compactStrings(pairs: readonly [string, string][]): string {
  const parts = pairs.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`);
  return `{${parts.join(',')}}`;
}

/** Numbers from 0 to `below` − 1, the same for the same seed (mulberry32). */
function picker(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const SPACES = ['', '', '', ' ', '\n', '\t', '\r\n', '    '];
const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '/': '\\/',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
};

/** Fields that a reader ignores; they repeat, and their names may be escaped ones of others. */
const UNKNOWN_FIELDS = [
  '"x":null',
  '"x":[]',
  '"x":{}',
  '"Dtype":"F32"',
  '"dtype ":1',
  '"":[1,-2.5e-3,{"a":[true,false,null,"\\ud83d\\ude00\\u0000"]}]',
  '"__metadata__":{"shape":[-0]}',
  '"shapes":[[[[[]]]],{"data_offsets":[9,0]}]',
  '"\\u0073hap\\u0065s":1.5E+300',
  `"long":"${'x'.repeat(300)}"`,
  '"no":-0.0',
  '"\u{1f600}":12345678901234567890123456789',
];

/**
 * The same header in other words: white space, entries' fields in any order, unknown fields,
 * escapes, metadata anywhere. All choices follow from `seed`.
 */
export function looseHeader({ tensors, metadata }: Model, seed: number): string {
  const pick = picker(seed);
  const space = () => SPACES[pick(SPACES.length)];
  const escapeUnit = (unit: string) => {
    const hex = unit.charCodeAt(0).toString(16).padStart(4, '0');
    return `\\u${pick(2) === 0 ? hex : hex.toUpperCase()}`;
  };
  const string = (text: string) => {
    const often = pick(3) === 0 ? 2 : 8;
    const characters = Array.from(text, (char) => {
      if (char < ' ' || char === '"' || char === '\\' || pick(often) === 0) {
        const short = SHORT_ESCAPES[char];
        return short !== undefined && pick(2) === 0
          ? short
          : char.split('').map(escapeUnit).join('');
      }
      return char;
    });
    return `"${characters.join('')}"`;
  };
  const list = (items: readonly (string | number)[]) =>
    items.map((item) => `${space()}${item}${space()}`).join(',') || space();
  const object = (items: readonly string[]) => `{${list(items)}}`;
  const field = (name: string, value: string) => `${string(name)}${space()}:${space()}${value}`;
  const shuffled = (items: readonly string[]) =>
    items
      .map((item) => ({ item, rank: pick(1000) }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ item }) => item);

  const entries = tensors.map(({ name, dtype, shape, begin, end }) => {
    const fields = [
      field('dtype', string(dtype)),
      field('shape', `[${list(shape)}]`),
      field('data_offsets', `[${list([begin, end])}]`),
    ];
    while (pick(3) === 0) fields.push(UNKNOWN_FIELDS[pick(UNKNOWN_FIELDS.length)]);
    return field(name, object(pick(4) === 0 ? fields : shuffled(fields)));
  });
  if (metadata) {
    const value =
      metadata.length === 0 && pick(2) === 0
        ? 'null'
        : object(metadata.map(([key, text]) => field(key, string(text))));
    entries.splice(pick(entries.length + 1), 0, field('__metadata__', value));
  }
  return `${space()}${object(entries)}${space()}`;
}

/** A small change of a header's bytes. */
export interface Mutation {
  kind: 'replace' | 'flip' | 'delete' | 'insert' | 'repeat';
  /** Where, of the whole: 0 to 1. */
  at: number;
  length: number;
  byte: number;
  text: string;
}

/** What headers are made of, and what looks like it. */
export const FRAGMENTS = [
  ...'{}[]",:\\0123456789-+.eE ntfaF8IBU\t\n\r\0\u000b\u007f',
  '\\u0000',
  '\\ud800',
  '\\ude00',
  '\\x',
  'null',
  'true',
  'NaN',
  '1e400',
  '-0',
  '00',
  '2.0',
  '9007199254740992',
  '18446744073709551616',
  '"__metadata__":null,',
  '"dtype":"F32",',
  '"shape":[],',
  '"x":{},',
  ',,',
  '[[',
  '/**/',
  '\ufeff',
  '\u00a0',
  '\u{1f600}',
];

export const anyMutations: fc.Arbitrary<Mutation[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('replace', 'flip', 'delete', 'insert', 'repeat'),
    at: fc.nat(999_999).map((millionths) => millionths / 1e6),
    length: fc.integer({ min: 1, max: 12 }),
    byte: fc.integer({ min: 1, max: 255 }),
    text: fc.constantFrom(...FRAGMENTS),
  }),
  { minLength: 1, maxLength: 3 },
);

export function mutated(bytes: Uint8Array, mutations: readonly Mutation[]): Buffer {
  return mutations.reduce(mutate, Buffer.from(bytes));
}

function mutate(before: Buffer, { kind, at, length, byte, text }: Mutation): Buffer {
  const start = Math.min(before.length, Math.floor(at * (before.length + 1)));
  const head = before.subarray(0, start);
  const one = before.subarray(start, start + 1);
  const some = before.subarray(start, start + length);
  switch (kind) {
    case 'flip':
      return Buffer.concat([head, one.map((b) => b ^ byte), before.subarray(start + 1)]);
    case 'delete':
      return Buffer.concat([head, before.subarray(start + length)]);
    case 'replace':
      return Buffer.concat([head, Buffer.from(text), before.subarray(start + 1)]);
    case 'insert':
      return Buffer.concat([head, Buffer.from(text), before.subarray(start)]);
    case 'repeat':
      return Buffer.concat([head, some, before.subarray(start)]);
  }
}

/** The file of a model under one of its headers. */
export function fileOf(model: Model, header: string | Uint8Array): Buffer {
  return rawFile(header, model.data);
}

/** Names in the order of their data, as the reader must give them. */
export function expectedOffsetKeys({ tensors }: Model): string[] {
  return tensors
    .map(({ name, begin, end }, i) => ({ name, begin, end, i }))
    .sort((a, b) => a.begin - b.begin || a.end - b.end || a.i - b.i)
    .map(({ name }) => name);
}
