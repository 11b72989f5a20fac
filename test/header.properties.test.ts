import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Container, deserialize, SafetensorsError } from '../src/index.ts';
import {
  anyModel,
  anyMutations,
  anyText,
  compactHeader,
  expectedOffsetKeys,
  fileOf,
  looseHeader,
  type Model,
  mutated,
} from './support/arbitraries.ts';
import { rawFile } from './support/build.ts';
import { expectContents } from './support/values.ts';

/** How often each property is tried; `npm run fuzz` sets it higher. */
const RUNS = Number(process.env.SAFETENSORS_MMAP_FUZZ_RUNS ?? 1000);

/** Long runs take as long as they take. */
const TIMEOUT_MS = Math.max(60_000, 20 * RUNS);

function check<Values>(title: string, property: fc.IProperty<Values>, runs = RUNS): void {
  it(title, { timeout: TIMEOUT_MS }, () => {
    fc.assert(property, { numRuns: runs });
  });
}

const anySeed = fc.integer();

it('tries each property', () => {
  expect(RUNS).toBeGreaterThan(0);
});

/** All that a container says of its tensors, but their data. */
function tableOf(container: Container) {
  return {
    size: container.size,
    keys: container.keys(),
    offsetKeys: container.offsetKeys(),
    info: container.keys().map((name) => container.info(name)),
    metadata: Object.entries(container.metadata),
  };
}

function expectedTable(model: Model) {
  // Objects keep keys that look like integers before all others.
  const metadata: Record<string, string> = Object.create(null);
  for (const [key, value] of model.metadata ?? []) metadata[key] = value;
  return {
    size: model.tensors.length,
    keys: model.tensors.map(({ name }) => name),
    offsetKeys: expectedOffsetKeys(model),
    info: model.tensors.map(({ dtype, shape, begin, end }) => ({
      dtype,
      shape,
      dataOffsets: [begin, end],
    })),
    metadata: Object.entries(metadata),
  };
}

function expectTensors(container: Container, { tensors }: Model): void {
  expect([...container].map(([name]) => name)).toEqual(tensors.map(({ name }) => name));
  for (const { name, dtype, shape, data } of tensors) {
    const tensor = container.getTensor(name);
    expect({ ...pick(tensor, 'name', 'dtype', 'shape', 'size', 'byteLength') }).toEqual({
      name,
      dtype,
      shape,
      size: shape.reduce((product, dimension) => product * dimension, 1),
      byteLength: data.length,
    });
    expectContents(tensor, data);
  }
}

function pick<T, K extends keyof T>(from: T, ...keys: K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, from[key]])) as Pick<T, K>;
}

/** The error that refuses a file, `undefined` when it is accepted; anything but a refusal fails. */
function refusalOf(open: () => unknown): SafetensorsError | undefined {
  try {
    open();
  } catch (error) {
    if (error instanceof SafetensorsError) return error;
    throw error;
  }
  return undefined;
}

check(
  'a compact header is read back exactly',
  fc.property(anyModel, (model) => {
    const container = deserialize(fileOf(model, compactHeader(model)));
    expect(tableOf(container)).toEqual(expectedTable(model));
    expectTensors(container, model);
  }),
);

check(
  'the same header in other words gives the same table',
  fc.property(anyModel, anySeed, (model, seed) => {
    const container = deserialize(fileOf(model, looseHeader(model, seed)));
    expect(tableOf(container)).toEqual(expectedTable(model));
    expectTensors(container, model);
  }),
);

check(
  'a name is found exactly when it is there',
  fc.property(
    anyModel,
    anySeed,
    fc.array(
      fc.oneof(anyText, fc.string({ unit: fc.constantFrom('\ud800', '\udfff', 'a', '\ufffd') })),
    ),
    (model, seed, others) => {
      const container = deserialize(fileOf(model, looseHeader(model, seed)));
      const names = new Set(model.tensors.map(({ name }) => name));
      const near = [...names].flatMap((name) => [
        `${name} `,
        name.slice(1),
        name.replaceAll('\ufffd', '\ud800'),
      ]);
      for (const name of [...names, ...near, ...others, '__metadata__', '__proto__', '\ud800']) {
        expect(container.has(name), JSON.stringify(name)).toBe(names.has(name));
        for (const ask of [() => container.getTensor(name), () => container.info(name)]) {
          const error = refusalOf(ask);
          expect(error?.code).toBe(
            names.has(name) ? undefined : 'ERR_SAFETENSORS_TENSOR_NOT_FOUND',
          );
          if (error) expect(error.tensor).toBe(name);
        }
      }
    },
  ),
);

/** Errors that say that the header is not JSON, or not the JSON of a header. */
const SYNTAX_CODES = ['ERR_SAFETENSORS_HEADER_JSON', 'ERR_SAFETENSORS_HEADER_UTF8'];

/** What may be reported of text before the place where JSON.parse refuses it. */
const EARLIER_CODES = [
  'ERR_SAFETENSORS_UNKNOWN_DTYPE',
  'ERR_SAFETENSORS_DUPLICATE_KEY',
  'ERR_SAFETENSORS_OVERFLOW',
];

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isIntegers(value: Json | undefined): boolean {
  return Array.isArray(value) && value.every((item) => Number.isInteger(item) && Number(item) >= 0);
}

function depthOf(value: Json): number {
  if (typeof value !== 'object' || value === null) return 0;
  return (
    1 + Object.values(value).reduce((deepest: number, item) => Math.max(deepest, depthOf(item)), 0)
  );
}

/** Why a text that JSON.parse accepts is no header, as far as JSON and its types go; '' for no reason. */
function reasonAgainst(text: string, json: Json): string {
  if (!isObject(json)) return 'not an object';
  if (depthOf(json) > 127) return 'depth';
  if (/\\ud[89a-f]/i.test(text)) return 'perhaps a lone surrogate';
  const outsideStrings = text.replace(/"(?:[^"\\]|\\.)*"/gs, '""');
  if (/\d[.eE]|-\d/.test(outsideStrings)) return 'perhaps a number that is no plain integer';
  // JSON.parse shows only the last of equal keys; a repeated one may hide any of the reasons below.
  if (hasRepeatedKeys(text)) return 'perhaps in a value that another replaces';
  for (const [name, entry] of Object.entries(json)) {
    if (name === '__metadata__') {
      if (entry === null) continue;
      if (!isObject(entry)) return 'metadata is no object';
      if (!Object.values(entry).every((value) => typeof value === 'string')) return 'metadata';
    } else {
      if (!isObject(entry)) return 'entry is no object';
      if (typeof entry.dtype !== 'string') return 'dtype';
      if (!isIntegers(entry.shape)) return 'shape';
      if (!isIntegers(entry.data_offsets)) return 'data_offsets';
      if (Array.isArray(entry.data_offsets) && entry.data_offsets.length !== 2) return 'offsets';
    }
  }
  return '';
}

/** Whether fewer keys come out of JSON.parse than the text has, anywhere in it. */
function hasRepeatedKeys(text: string): boolean {
  const written = text.match(/"(?:[^"\\]|\\.)*"[ \t\n\r]*:/gs)?.length ?? 0;
  let read = 0;
  JSON.parse(text, (_, value: Json) => {
    if (isObject(value)) read += Object.keys(value).length;
    return value;
  });
  return read < written;
}

function parsed(header: Uint8Array): { text: string; json: Json } | 'not UTF-8' | 'not JSON' {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch {
    return 'not UTF-8';
  }
  try {
    return { text, json: JSON.parse(text) };
  } catch {
    return 'not JSON';
  }
}

/** Counts of what the mutations came to: a property that sees one kind only tests little. */
const seen = { 'not UTF-8': 0, 'not JSON': 0, refused: 0, accepted: 0 };

const KEY_OF_ONE_ESCAPE = /"\\(?:u[0-9a-f]{4}|[^u])"\s*:/i;

function expectJsonParseAgrees(header: Buffer, data: Uint8Array): void {
  let container: Container | undefined;
  const code = refusalOf(() => {
    container = deserialize(rawFile(header, data));
  })?.code;
  // Another kind of file is told by its first bytes alone, before anything is parsed.
  if (code === 'ERR_SAFETENSORS_NOT_SAFETENSORS') return;
  const reading = parsed(header);
  if (reading === 'not UTF-8') {
    seen[reading]++;
    expect(code).toBe('ERR_SAFETENSORS_HEADER_UTF8');
  } else if (reading === 'not JSON') {
    seen[reading]++;
    expect([...SYNTAX_CODES, ...EARLIER_CODES]).toContain(code);
    expect(code).not.toBe('ERR_SAFETENSORS_HEADER_UTF8');
  } else if (container === undefined) {
    seen.refused++;
    if (code !== undefined && SYNTAX_CODES.includes(code)) {
      expect(code).toBe('ERR_SAFETENSORS_HEADER_JSON');
      expect(reasonAgainst(reading.text, reading.json)).not.toBe('');
    }
  } else {
    seen.accepted++;
    // V8 13.6 (Node 24) now and then gives a key of one escape, as "\\u0000", as a backslash: no oracle for those.
    if (process.versions.v8.startsWith('13.6.') && KEY_OF_ONE_ESCAPE.test(reading.text)) return;
    expect(isObject(reading.json)).toBe(true);
    const { __metadata__: metadata, ...entries } = reading.json as { [key: string]: Json };
    expect(new Set(container.keys())).toEqual(new Set(Object.keys(entries)));
    for (const [name, tensor] of container) {
      const { dtype, shape, dataOffsets } = container.info(name);
      expect(entries[name]).toMatchObject({ dtype, shape, data_offsets: dataOffsets });
      expect(tensor.byteLength).toBe(dataOffsets[1] - dataOffsets[0]);
    }
    expect({ ...container.metadata }).toEqual(metadata ?? {});
  }
}

check(
  'a changed header is refused and read as JSON.parse does',
  fc.property(anyModel, fc.option(anySeed), anyMutations, (model, seed, mutations) => {
    const header = seed === null ? compactHeader(model) : looseHeader(model, seed);
    expectJsonParseAgrees(mutated(Buffer.from(header), mutations), model.data);
  }),
  5 * RUNS,
);

it('saw every kind of verdict on changed headers', () => {
  for (const [kind, count] of Object.entries(seen)) expect(count, kind).toBeGreaterThan(0);
});

check(
  'any JSON is refused or read as JSON.parse does',
  fc.property(fc.json({ stringUnit: 'binary' }), fc.uint8Array({ maxLength: 16 }), (json, data) =>
    expectJsonParseAgrees(Buffer.from(json), data),
  ),
);

/** A tensor of every unknown field that JSON has must be read as if the field were not there. */
check(
  'an ignored field may be any JSON',
  fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
    const field = JSON.stringify(value);
    const header = `{"a":{"x":${field},"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`;
    const { bytes } = deserialize(rawFile(header, Uint8Array.of(7))).getTensor('a');
    expect([...bytes]).toEqual([7]);
  }),
);

/** Whether a file opens in which `text` is the value of a field that is ignored. */
function opensWithField(text: string): boolean {
  const header = `{"a":{"x":${text},"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`;
  const error = refusalOf(() => deserialize(rawFile(header, Uint8Array.of(7))));
  if (error) expect(error.code).toBe('ERR_SAFETENSORS_HEADER_JSON');
  return error === undefined;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const anyNumberText = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'0123456789+-.eE'), maxLength: 6 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.stringMatching(/^-?(0|[1-9]\d{0,3})(\.\d{0,3})?([eE][+-]?\d{0,2})?$/),
);

check(
  'a number in an ignored field is one exactly when it is to JSON.parse',
  fc.property(anyNumberText, (text) => {
    // JSON.parse makes Infinity of what is beyond f64, which the format refuses.
    const isNumber = isJson(text) && Number.isFinite(JSON.parse(text));
    expect(opensWithField(text), text).toBe(isNumber);
  }),
);

const anyStringBody = fc.string({
  unit: fc.oneof(
    fc.constantFrom('\\', '"', '\n', '\u007f', '\u001f', '/', ' '),
    fc.constantFrom(
      ...'\\" \\\\ \\/ \\b \\f \\n \\r \\t \\x \\u004 \\u00e9 \\U0041 \\u00g0'.split(' '),
    ),
  ),
  maxLength: 5,
});

check(
  'a string in an ignored field is one exactly when it is to JSON.parse',
  fc.property(anyStringBody, (body) => {
    expect(opensWithField(`"${body}"`), body).toBe(isJson(`"${body}"`));
  }),
);

it('nests 127 levels and no more: the header, the entry, and 125 in an ignored field', () => {
  const nested = (depth: number, [open, close]: [string, string]) =>
    open.repeat(depth) + (open === '[' ? '' : '1') + close.repeat(depth);
  for (const brackets of [
    ['[', ']'],
    ['{"k":', '}'],
  ] satisfies [string, string][]) {
    expect(opensWithField(nested(125, brackets))).toBe(true);
    expect(opensWithField(nested(126, brackets))).toBe(false);
    expect(opensWithField(nested(1_000_000, brackets))).toBe(false);
    expect(opensWithField(brackets[0].repeat(1_000_000))).toBe(false);
  }
});

check(
  'a dimension or an offset is a plain integer and nothing else',
  fc.property(anyNumberText, (text) => {
    const isPlain = /^(0|[1-9][0-9]*)$/.test(text);
    const value = isPlain ? Number(text) : 0;
    const data = new Uint8Array(value <= 1e6 ? value : 0);
    for (const [header, length] of [
      [`{"a":{"dtype":"U8","shape":[0,${text}],"data_offsets":[0,0]}}`, 0],
      [`{"a":{"dtype":"U8","shape":[ 0,${text}],"data_offsets":[0,0]}}`, 0],
      [`{"a":{"dtype":"U8","shape":[${text}],"data_offsets":[0,${text}]}}`, value],
    ] satisfies [string, number][]) {
      const file = rawFile(header, data.subarray(0, length));
      const code = refusalOf(() => deserialize(file))?.code;
      if (!isPlain) expect(code, header).toBe('ERR_SAFETENSORS_HEADER_JSON');
      else if (value > Number.MAX_SAFE_INTEGER) expect(code, header).toMatch(/OVERFLOW$/);
      else expect(code, header).toBe(length > 1e6 ? 'ERR_SAFETENSORS_TRUNCATED' : undefined);
    }
  }),
);

/** Opens bytes of any kind: they are refused, or the tensors lie within them. */
function expectSafe(bytes: Uint8Array): void {
  refusalOf(() => {
    const container = deserialize(bytes);
    expect(container.byteLength).toBe(bytes.byteLength);
    for (const [, tensor] of container) {
      const { bytes: view, data, zeroCopy } = tensor;
      expect(view.buffer).toBe(bytes.buffer);
      expect(view.byteOffset).toBeGreaterThanOrEqual(bytes.byteOffset + 10);
      expect(view.byteOffset + view.byteLength).toBeLessThanOrEqual(
        bytes.byteOffset + bytes.byteLength,
      );
      expect(data.byteLength).toBe(view.byteLength);
      expect(data.buffer === bytes.buffer).toBe(zeroCopy);
      expect(
        Buffer.compare(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), view),
      ).toBe(0);
    }
  });
}

check(
  'any bytes behind a header are refused, or hold the tensors',
  fc.property(
    anyModel,
    fc.integer({ min: -3, max: 3 }),
    fc.uint8Array({ maxLength: 3 }),
    (model, cut, more) => {
      const file = fileOf(model, compactHeader(model));
      expectSafe(Buffer.concat([cut < 0 ? file.subarray(0, cut) : file, more]));
    },
  ),
);

check(
  'any bytes are refused, or hold the tensors',
  fc.property(fc.uint8Array({ maxLength: 200 }), expectSafe),
);

check(
  'any change anywhere in a file is refused, or leaves the tensors inside',
  fc.property(anyModel, anySeed, anyMutations, fc.nat(9), (model, seed, mutations, offset) => {
    const file = mutated(fileOf(model, looseHeader(model, seed)), mutations);
    expectSafe(Buffer.concat([Buffer.alloc(offset), file]).subarray(offset));
  }),
);
