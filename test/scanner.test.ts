/**
 * The compiled scanner gets the text of headers and indexes piece by piece: wherever a piece ends, and whatever
 * stands there, a file has the tensors that JSON.parse finds; and so it has where there is no scanner.
 */
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { deserialize, openModel, type TensorInfo } from '../src/index.ts';
import { rawFile } from './support/build.ts';
import { childCommand, runCommand } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { indexOf, shardName, u8, writeModel } from './support/models.ts';
import { rounds } from './support/rounds.ts';
import { temporaryFolder } from './support/temporary.ts';

/** Of src/scanner/memory.ts; what is around it is where pieces end. */
const PIECE_BYTES = 2 ** 17;

interface Entry {
  /** Characters of the name, which begins with the entry's number. */
  length: number;
  style: 'plain' | 'spaced' | 'escaped' | 'long shape';
}

const anyEntry: fc.Arbitrary<Entry> = fc.record({
  length: fc.oneof(
    { weight: 20, arbitrary: fc.nat(80) },
    { weight: 2, arbitrary: fc.nat(5000) },
    { weight: 1, arbitrary: fc.integer({ min: PIECE_BYTES - 5000, max: PIECE_BYTES + 5000 }) },
  ),
  style: fc.oneof(
    { weight: 30, arbitrary: fc.constant('plain' as const) },
    { weight: 1, arbitrary: fc.constantFrom('spaced', 'escaped', 'long shape') },
  ),
});

/** Many that are alike, with others between them. */
const anyEntries = fc
  .array(fc.tuple(anyEntry, fc.nat(700)), { minLength: 1, maxLength: 12, size: 'max' })
  .map((runs) => runs.flatMap(([entry, times]) => [entry, ...repeated(times)]));

function repeated(times: number): Entry[] {
  return Array.from({ length: times }, (_, i) => ({ length: 10 + (i % 60), style: 'plain' }));
}

function headerOf(entries: readonly Entry[]): { text: string; dataLength: number } {
  let end = 0;
  const items = entries.map(({ length, style }, i) => {
    const name = `${i}.${'n'.repeat(length)}${style === 'escaped' ? '\n' : ''}`;
    const shape = style === 'long shape' ? Array.from({ length: 2500 }, () => 1) : [1, (i % 3) + 1];
    const elements = shape.reduce((product, dimension) => product * dimension, 1);
    const begin = end;
    end += 4 * elements;
    const item = `${JSON.stringify(name)}:${JSON.stringify({ dtype: 'F32', shape, data_offsets: [begin, end] })}`;
    return style === 'spaced' ? item.replace(',', ' ,') : item;
  });
  return { text: `{${items.join(',')}}`, dataLength: end };
}

it('reads headers of several pieces, wherever these end', () => {
  let longest = 0;
  fc.assert(
    fc.property(anyEntries, (entries) => {
      const { text, dataLength } = headerOf(entries);
      longest = Math.max(longest, text.length);
      using file = deserialize(rawFile(Buffer.from(text), Buffer.alloc(dataLength)));
      const found: [string, TensorInfo][] = file.keys().map((name) => [name, file.info(name)]);
      const expected: [string, { dtype: string; shape: number[]; data_offsets: number[] }][] =
        Object.entries(JSON.parse(text));
      expect(found).toEqual(
        expected.map(([name, { dtype, shape, data_offsets: dataOffsets }]) => [
          name,
          { dtype, shape, dataOffsets },
        ]),
      );
    }),
    // The random ones are of any length; this one surely of several pieces.
    { numRuns: rounds(60), examples: [[repeated(5000)]] },
  );
  expect(longest).toBeGreaterThan(2 * PIECE_BYTES);
});

it.each([-3, -2, -1, 0, 1, 2, 3])(
  'reads a header that ends at the end of a piece, and %i',
  (more) => {
    const some = headerOf(repeated(1500)).text.length;
    const [last] = [PIECE_BYTES + 1, 2 * PIECE_BYTES + 1].filter((end) => end > some + 5000);
    const { text, dataLength } = headerOf([...repeated(1500), { length: 0, style: 'plain' }]);
    const padded = headerOf([
      ...repeated(1500),
      { length: last - text.length + more, style: 'plain' },
    ]);
    expect(padded.text.length).toBe(last + more);
    using file = deserialize(rawFile(Buffer.from(padded.text), Buffer.alloc(dataLength)));
    expect(file.size).toBe(1501);
  },
);

it.each([1, 2731, 200_000])('refuses a dtype without letters, of %i entries', async (count) => {
  const entry = '"":{"dtype":"","shape":[],"data_offsets":[0,0]}';
  const text = `{${Array.from({ length: count }, () => entry).join(',')}}`;
  const error = await thrownBy(() => deserialize(rawFile(Buffer.from(text), Buffer.alloc(0))));
  expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_UNKNOWN_DTYPE' });
});

const root = temporaryFolder();

/** Names of several pieces of an index; longer ones than the scanner takes at the end. */
const names = Array.from({ length: 9000 }, (_, i) => `layer.${i}.${'w'.repeat(i % 90)}`);

it.each(['model', 'm'.repeat(228)])(
  'reads indexes of several pieces, of shards named %s…',
  async (base) => {
    const shards = [1, 2].map((number) => `${base}${shardName(number, 2).slice('model'.length)}`);
    const place = (i: number) => Math.floor(i / 1000) % 2;
    const folder = writeModel(join(root, `model-${base.length}`), {
      shards: Object.fromEntries(
        shards.map((shard, number) => [
          shard,
          names.flatMap((name, i) => (place(i) === number ? [u8(name, i & 255)] : [])),
        ]),
      ),
      index: indexOf(names.map((name, i) => [name, shards[place(i)]] as const)),
    });
    using model = await openModel(folder);
    expect(model.keys()).toEqual(names);
    expect(names.every((name, i) => model.getTensor(name).bytes[0] === (i & 255))).toBe(true);
  },
);

/** What a process of its own, begun by another command, finds in a model. */
async function listElsewhere(folder: string, before: readonly string[], flags: readonly string[]) {
  const [command, args] = childCommand('list-tensors', [folder], flags);
  const [first, ...rest] = [...before, command, ...args];
  const { code, stdout, stderr } = await runCommand(first, rest);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

const twoShards = { [shardName(1, 2)]: [u8('a', 1)], [shardName(2, 2)]: [u8('b', 1, 2), u8('c')] };

it.each([
  ['under --jitless, which has no WebAssembly', ['--jitless'], 'ulimit -v unlimited', false],
  ['where there are too few addresses for it', [], 'ulimit -v 6000000', true],
])('reads all by the full grammar %s', async (_, flags, limit, scans) => {
  const folder = writeModel(join(root, limit), { shards: twoShards });
  const before = ['bash', '-c', `${limit}; exec "$@"`, 'bash'];
  const found = await listElsewhere(folder, before, flags);
  using model = await openModel(folder);
  const tensors = model
    .keys()
    .map((name) => [name, model.info(name), model.getTensor(name).bytes[0] ?? null]);
  expect(found).toMatchObject({ scans, tensors });
});
