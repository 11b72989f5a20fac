/**
 * The fast path of the header, which reads an entry by what the entries before it said, against the
 * full grammar: every change of one byte, in every place, must have the same outcome in both.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SafetensorsError } from '../src/errors.ts';
import { allocateHeader } from '../src/header/bytes.ts';
import { parseHeader } from '../src/header/parse.ts';

interface Entry {
  name: string;
  dtype: string;
  shape: number[];
  bytes: number;
}

/** What repeats at a distance, what differs by a byte, offsets of one to thirteen digits. */
const ENTRIES: readonly Entry[] = [
  { name: 'a.weight', dtype: 'U8', shape: [2, 4], bytes: 8 },
  { name: 'a.scale', dtype: 'F32', shape: [], bytes: 4 },
  { name: 'b.weight', dtype: 'U8', shape: [2, 4], bytes: 8 },
  { name: 'b.scale', dtype: 'F32', shape: [], bytes: 4 },
  { name: 'empty', dtype: 'F32', shape: [0, 5], bytes: 0 },
  { name: 'long.weight', dtype: 'U8', shape: [1_000_000, 1_000_000], bytes: 1e12 },
  { name: 'c.scale', dtype: 'F32', shape: [], bytes: 4 },
  { name: 'ä', dtype: 'F4', shape: [2], bytes: 1 },
  { name: 'last', dtype: 'U8', shape: [2, 4], bytes: 8 },
];

function headerText(): string {
  let begin = 0;
  const entries = ENTRIES.map(({ name, dtype, shape, bytes }) => {
    const entry = { dtype, shape, data_offsets: [begin, begin + bytes] };
    begin += bytes;
    return `${JSON.stringify(name)}:${JSON.stringify(entry)}`;
  });
  return `{${entries.join(',')}}`;
}

const DATA_BYTES = ENTRIES.reduce((sum, { bytes }) => sum + bytes, 0);

function colonsOf(header: Buffer): number[] {
  const colons: number[] = [];
  for (let at = header.indexOf(':{'); at >= 0; at = header.indexOf(':{', at + 1)) colons.push(at);
  return colons;
}

/** A white space behind every name keeps the fast path from all entries. */
function inFullGrammar(header: Buffer, colons: readonly number[]): Buffer {
  const parts: Buffer[] = [];
  let from = 0;
  for (const colon of colons) {
    parts.push(header.subarray(from, colon), Buffer.from(' '));
    from = colon;
  }
  return Buffer.concat([...parts, header.subarray(from)]);
}

/** The tensors, or the code and the tensor of the error. */
function outcome(header: Buffer, dataLength = DATA_BYTES): unknown {
  const bytes = allocateHeader(header.length);
  header.copy(bytes);
  try {
    const table = parseHeader(bytes, { dataLength, duplicates: 'reject' });
    const { begins, ends } = table.columns;
    return Array.from({ length: table.count }, (_, entry) => [
      table.name(entry),
      table.dtype(entry).name,
      table.shape(entry),
      begins[entry],
      ends[entry],
    ]);
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error;
    return [error.code, error.tensor];
  }
}

const REPLACEMENTS = [...Buffer.from('"\\,:{}[]0159 \n\0a-._')];

it('reads what it is made of', () => {
  const header = Buffer.from(headerText());
  expect(outcome(header)).toHaveLength(ENTRIES.length);
});

it('agrees with the full grammar on every change of one byte', () => {
  const header = Buffer.from(headerText());
  const colons = colonsOf(header);
  expect(colons).toHaveLength(ENTRIES.length);
  const verdicts = new Map<string, number>();
  for (let at = 0; at < header.length; at++) {
    const original = header[at];
    for (const byte of [...REPLACEMENTS, original ^ 1, original ^ 2]) {
      header[at] = byte;
      const fast = outcome(header);
      expect(fast, `byte ${at} of ${header.toString()}`).toEqual(
        outcome(inFullGrammar(header, colons)),
      );
      const verdict = Array.isArray(fast) && typeof fast[0] === 'string' ? fast[0] : 'accepted';
      verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
    }
    header[at] = original;
  }
  // It would be no test if all were refused for the same reason.
  for (const verdict of ['accepted', 'HEADER_JSON', 'INVALID_OFFSET', 'SIZE_MISMATCH']) {
    expect(
      [...verdicts.keys()].some((key) => key.endsWith(verdict)),
      verdict,
    ).toBe(true);
  }
});

it('agrees with the full grammar on every byte that is missing, or there twice', () => {
  const header = Buffer.from(headerText());
  const loose = inFullGrammar(header, colonsOf(header));
  let blanks = 0;
  for (let at = 0; at < header.length; at++) {
    if (header[at] !== loose[at + blanks]) blanks++;
    for (const [change, times] of [
      ['without', 0],
      ['twice', 2],
    ] as const) {
      const repeated = (text: Buffer, place: number) =>
        Buffer.concat([
          text.subarray(0, place),
          Buffer.alloc(times, text[place]),
          text.subarray(place + 1),
        ]);
      expect(outcome(repeated(header, at)), `${change} byte ${at} of ${header}`).toEqual(
        outcome(repeated(loose, at + blanks)),
      );
    }
  }
});

it('agrees with the full grammar wherever the header ends', () => {
  const header = Buffer.from(headerText());
  for (let end = 0; end < header.length; end++) {
    const [code] = outcome(header.subarray(0, end)) as [string];
    expect(code, `${end} bytes`).toMatch(/HEADER_(JSON|UTF8)$/);
  }
});

const anyNumber = fc.oneof(
  fc.constantFrom('0', '1', '2', '3', '8'),
  fc.constantFrom(
    ...['', '00', '01', '-1', '1.0', '1e1', '12345678', '123456789', '1234567890123456'],
    ...['9007199254740991', '9007199254740992', '12345678901234567', '18446744073709551616'],
  ),
);
const anyDtype = fc.constantFrom(
  ...['U8', 'F32', 'C64', 'BOOL', 'F4', 'F6_E2M3', 'F8_E4M3FNUZ'],
  ...['', 'U', 'u8', 'U88', 'F8_E4M3FNUZ_', 'F8_E4M3FNUZ_LONG', 'Ü8', 'U8\\u0000'],
);
const anyEntry = fc.record({
  name: fc.constantFrom('', 'a', 'b', '__metadata__', '__metadata_', 'a long name of a tensor'),
  dtype: anyDtype,
  shape: fc.array(anyNumber, { maxLength: 3 }),
  bytes: fc.option(anyNumber, { nil: undefined }),
});

/** As many bytes as shape and dtype say, most of the time. */
function bytesIn(dtype: string, shape: readonly string[]): number {
  const bits = { U8: 8, F32: 32, C64: 64, BOOL: 8, F4: 4, F6_E2M3: 6, F8_E4M3FNUZ: 8 }[dtype] ?? 0;
  return shape.reduce((product, dimension) => product * Number(dimension), bits) / 8;
}

it('agrees with the full grammar on entries of whatever is there at the limits', () => {
  const verdicts = new Set<string>();
  fc.assert(
    fc.property(fc.array(anyEntry, { minLength: 1, maxLength: 4 }), (entries) => {
      let end = 0;
      const items = entries.map(({ name, dtype, shape, bytes }) => {
        const begin = end;
        end += bytes === undefined ? bytesIn(dtype, shape) : Number(bytes);
        return `"${name}":{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${begin},${end}]}`;
      });
      const header = Buffer.from(`{${items.join(',')}}`);
      const dataLength = Number.isSafeInteger(end) && end >= 0 ? end : 0;
      const fast = outcome(header, dataLength);
      const full = outcome(inFullGrammar(header, colonsOf(header)), dataLength);
      expect(fast, header.toString()).toEqual(full);
      verdicts.add(Array.isArray(fast) && typeof fast[0] === 'string' ? fast[0] : 'accepted');
    }),
    { numRuns: 5000 },
  );
  for (const verdict of ['accepted', 'UNKNOWN_DTYPE', 'HEADER_JSON', 'OVERFLOW', 'DUPLICATE_KEY']) {
    expect([...verdicts].join(' ')).toContain(verdict);
  }
});
