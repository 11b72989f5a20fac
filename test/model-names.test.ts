/**
 * Names of an index and those of its shards' headers are matched by what is expected next, or by their hash;
 * whatever the names, their order and the style of the text, the model is the one that JSON.parse sees.
 */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { openModel } from '../src/index.ts';
import { anyName } from './support/arbitraries.ts';
import { buildFile, rawFile } from './support/build.ts';
import { thrownBy } from './support/errors.ts';
import { INDEX, indexOf, shardName, u8, writeModel } from './support/models.ts';
import { rounds } from './support/rounds.ts';
import { temporaryFolder } from './support/temporary.ts';

const root = temporaryFolder();
let folders = 0;
const newFolder = () => join(root, `model-${folders++}`);

const SHARDS = 3;
const shardOf = (number: number) => shardName(1 + number, SHARDS);

/** Names of few lengths, which differ in one byte or go on where another ends; and any others. */
const likeNames = fc
  .tuple(
    fc.constantFrom('', 'model.layers.', 'ключ.', 'quo"te\\', '\u0001'),
    fc.constantFrom(0, 1, 7, 8, 30),
    fc.constantFrom('', '0', '1', '2', '01', '0123', '01234567'),
  )
  .map(([start, length, end]) => `${start}${'x'.repeat(length)}${end}`);
const names = fc.uniqueArray(fc.oneof(likeNames, likeNames, anyName), {
  minLength: 1,
  maxLength: 60,
  size: 'max',
});

/** The same JSON, in the styles of Python, of JSON.stringify, with blanks, and with every letter escaped. */
const STYLES: readonly ((index: unknown) => string)[] = [
  (index) => JSON.stringify(index, undefined, 2),
  (index) => JSON.stringify(index),
  // Between a name and its shard: `":"` is also how a name of a colon looks.
  (index) => JSON.stringify(index).replaceAll('":"model', '" :\t"model'),
  (index) => JSON.stringify(index, undefined, 2).replace(/x/g, () => '\\u0078'),
  (index) =>
    JSON.stringify(index, undefined, 2).replace(
      /[^\0-\x7f]/g,
      (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
    ),
];

it('finds the tensors of any names in any index', async () => {
  const style = fc.constantFrom(...STYLES);
  const order = fc.array(fc.nat(), { minLength: 60, maxLength: 60 });
  const nearlyOrder = order.map((places) =>
    places.map((place, i) => (place % 4 === 0 ? place % 60 : i)),
  );
  await fc.assert(
    fc.asyncProperty(names, style, nearlyOrder, order, async (names, style, places, shards) => {
      const all = names.map((name, i) => ({ name, byte: i, shard: shards[i] % SHARDS }));
      const inIndex = all.toSorted((a, b) => places[a.byte] - places[b.byte]);
      const folder = newFolder();
      const files = Array.from({ length: SHARDS }, (_, number) => number).filter((number) =>
        all.some(({ shard }) => shard === number),
      );
      writeModel(folder, {
        shards: Object.fromEntries(
          files.map((number) => [
            shardOf(number),
            all.filter(({ shard }) => shard === number).map(({ name, byte }) => u8(name, byte)),
          ]),
        ),
        index: style({
          weight_map: Object.fromEntries(inIndex.map(({ name, shard }) => [name, shardOf(shard)])),
        }),
      });
      using model = await openModel(join(folder, INDEX));
      expect(new Set(model.keys())).toEqual(new Set(names));
      for (const { name, byte, shard } of all) {
        expect(model.getTensor(name).bytes[0]).toBe(byte);
        expect(model.shardOf(name).path).toBe(join(folder, shardOf(shard)));
      }
    }),
    { numRuns: rounds(150) },
  );
});

it('finds a name that one before it begins with, and does not take one for the other', async () => {
  // The index would have a quote in its name where the header's name ends.
  const folder = writeModel(newFolder(), {
    shards: { [shardOf(0)]: [u8('a', 1), u8('a"b', 2), u8('a"', 3), u8('', 4)] },
  });
  using model = await openModel(folder);
  expect(['a', 'a"b', 'a"', ''].map((name) => model.getTensor(name).bytes[0])).toEqual([
    1, 2, 3, 4,
  ]);
});

it('does not take a name for the one that is expected where it is as long', async () => {
  const name = (i: number) => `layer.${String(i).padStart(3, '0')}.weight`;
  const order = Array.from({ length: 600 }, (_, i) => (i * 7919) % 600);
  const tensors = order.map((i) => u8(name(i), i & 255, i >> 8));
  const weightMap = order.toSorted((a, b) => a - b).map((i) => [name(i), shardOf(0)] as const);
  const folder = writeModel(newFolder(), {
    shards: { [shardOf(0)]: tensors },
    index: indexOf(weightMap),
  });
  using model = await openModel(folder);
  for (const i of order) expect([...model.getTensor(name(i)).bytes]).toEqual([i & 255, i >> 8]);
});

it.each([
  ['a quote', 'a"', '"a""'],
  ['a backslash', 'a\\', '"a\\"'],
  ['a control character', 'a\u0001', '"a\u0001"'],
])('does not take a name with %s for the one that the index has escaped', async (_, name, raw) => {
  const file = shardOf(0);
  const tensors = [u8('0', 1), u8(name, 2), u8('1', 3)];
  const folder = writeModel(newFolder(), { shards: { [file]: tensors } });
  const bytes = buildFile(tensors).toString('latin1').slice(8);
  const broken = bytes.replace(JSON.stringify(name), raw);
  expect(broken).not.toBe(bytes);
  const header = broken.slice(0, broken.lastIndexOf('}') + 1);
  writeFileSync(join(folder, file), rawFile(Buffer.from(header, 'latin1'), Buffer.from([1, 2, 3])));
  const error = await thrownBy(() => openModel(folder));
  expect(error.code).toBe('ERR_SAFETENSORS_HEADER_JSON');
});

it('reads an index of more names than the scanner has room for at once', async () => {
  const short = Array.from({ length: 6000 }, (_, i) => u8(i.toString(36), i & 255));
  const folder = writeModel(newFolder(), { shards: { 'a.safetensors': short } });
  using model = await openModel(folder);
  expect(model.size).toBe(6000);
  for (const { name, data } of short) expect(model.getTensor(name).bytes[0]).toBe(data[0]);
});

it('refuses a name that the index and the shard both have twice, also at the end of many', async () => {
  const tensors = Array.from({ length: 2000 }, (_, i) => u8(`layer.${i}`, i & 255));
  const twice = [...tensors, u8('layer.7', 1)];
  const file = shardOf(0);
  const folder = writeModel(newFolder(), { shards: { [file]: [] } });
  writeFileSync(join(folder, file), buildFile(twice));
  writeFileSync(join(folder, INDEX), indexOf(twice.map(({ name }) => [name, file])));
  const error = await thrownBy(() => openModel(folder));
  expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_DUPLICATE_KEY', tensor: 'layer.7' });
});

it('refuses a name that is twice in the index, for two shards that both have it', async () => {
  const folder = writeModel(newFolder(), {
    shards: { [shardOf(0)]: [u8('a', 1), u8('b', 2)], [shardOf(1)]: [u8('b', 3), u8('c', 4)] },
  });
  const error = await thrownBy(() => openModel(folder));
  expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_DUPLICATE_KEY', tensor: 'b' });
});

it('lets the last of two entries count, and expects none where the index has no entry any more', async () => {
  const file = shardOf(0);
  const inHeader = [0, 2, 4, 6, 7, 1, 3, 5].map((i) => u8(`n${i}`, i));
  const inIndex = [0, 0, 1, 2, 3, 4, 5, 6, 7].map((i) => [`n${i}`, file] as const);
  const folder = writeModel(newFolder(), {
    shards: { [file]: inHeader },
    index: `{"weight_map":{${inIndex.map(([name, shard]) => `"${name}":"${shard}"`).join(',')}}}`,
  });
  using model = await openModel(folder, { duplicates: 'last-wins' });
  expect(model.keys().map((name) => [name, model.getTensor(name).bytes[0]])).toEqual(
    Array.from({ length: 8 }, (_, i) => [`n${i}`, i]),
  );
});
