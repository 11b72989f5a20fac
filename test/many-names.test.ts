import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { type Container, openModel, type SafetensorsError, safeOpenSync } from 'safetensors-mmap';
import { afterAll, describe, expect, it } from 'vitest';
import { rawFile, type TensorSource } from './support/build.ts';
import { thrownBy } from './support/errors.ts';
import { shardName, writeModel } from './support/models.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();

/** More than are looked for one by one. */
const MANY = 200;

const ASCII = ['', 'a', 'a.b', '"quoted"', 'x'.repeat(70), ...Array.from('0123456789', String)];
const OTHERS = ['ü', '名前', '\u{1f600}', '\u0000\u00ff', 'aü'];
const NAMES = [...ASCII, ...OTHERS];

/** A power of two for each name: their sum tells which were found. */
const bytesOf = (name: string) => 2 ** NAMES.indexOf(name);
const sumOf = (asked: readonly string[]) =>
  [...new Set(asked)].reduce((sum, name) => sum + bytesOf(name), 0);

const tensors = NAMES.map((name): TensorSource => {
  const data = new Uint8Array(bytesOf(name));
  return { name, dtype: 'U8', shape: [data.length], data };
});

/** The tensors in the header's order have their data in another; the first name is there twice. */
function fileOutOfOrder(): string {
  const bytes = sumOf(NAMES);
  let end = bytes;
  const entries = NAMES.map((name) => {
    const begin = end - bytesOf(name);
    const entry = `${JSON.stringify(name)}:{"dtype":"U8","shape":[${end - begin}],"data_offsets":[${begin},${end}]}`;
    end = begin;
    return entry;
  });
  const twice = '"":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}';
  const path = join(folder, 'file.safetensors');
  writeFileSync(path, rawFile(`{${[twice, ...entries].join(',')}}`, new Uint8Array(bytes)));
  return path;
}

const shards = { [shardName(1, 2)]: tensors.slice(0, 9), [shardName(2, 2)]: tensors.slice(9) };
const containers: readonly (readonly [string, Container])[] = [
  ['a file out of order', safeOpenSync(fileOutOfOrder(), { duplicates: 'last-wins' })],
  ['a model', await openModel(writeModel(join(folder, 'model'), { shards }))],
];
afterAll(() => {
  for (const [, container] of containers) container.close();
});

const askedOf = (names: readonly string[]) =>
  fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: MANY });

describe.each(containers)('many names of %s', (_, container) => {
  it.each([
    ['ASCII', ASCII],
    ['any', NAMES],
  ])('are found as one is: %s', async (_kind, names) => {
    await fc.assert(
      fc.asyncProperty(askedOf(names), async (asked) => {
        const { byteLength, residentBytes } = await container.residency(asked);
        expect(byteLength).toBe(sumOf(asked));
        expect(residentBytes).toBeLessThanOrEqual(byteLength);
      }),
    );
  });

  it.each(['b', 'a.', 'y'.repeat(70), '\ud800', 'ü!', 'z'.repeat(2 ** 20)])(
    'and the first that is not there is told: %.20s',
    async (missing) => {
      const asked = [...Array.from({ length: MANY }, (_, i) => ASCII[i % ASCII.length]), missing];
      const error = await thrownBy(() => container.prefetch([...asked, 'c', 'a']));
      const { code, tensor } = error as SafetensorsError;
      expect({ code, tensor }).toEqual({
        code: 'ERR_SAFETENSORS_TENSOR_NOT_FOUND',
        tensor: missing,
      });
    },
  );

  it('are looked at before any is looked for', async () => {
    const asked = [...Array.from({ length: MANY }, () => 'no such'), 7 as unknown as string];
    expect(await thrownBy(() => container.release(asked))).toBeInstanceOf(TypeError);
  });
});

it('are not found where they gave way to later ones', async () => {
  const names = ['A', ...Array.from({ length: MANY }, (_, i) => `N${i}`), 'A', 'A', 'A'];
  // Of those that give way, offsets are not looked at.
  const entries = names.map((name, i) => {
    const last = i === names.length - 1;
    const offsets =
      i === 0 || (name === 'A' && !last) ? [20, 28] : [last ? MANY : i - 1, last ? MANY + 1 : i];
    return `"${name}":{"dtype":"U8","shape":[${offsets[1] - offsets[0]}],"data_offsets":[${offsets}]}`;
  });
  const path = join(folder, 'gave-way.safetensors');
  writeFileSync(path, rawFile(`{${entries}}`, new Uint8Array(MANY + 1)));
  const file = safeOpenSync(path, { duplicates: 'last-wins' });
  for (const step of [1, 2]) {
    const asked = Array.from(
      { length: MANY / 2 },
      (_, i) => `N${MANY - 1 - step * i}`,
    ).toReversed();
    expect((await file.residency([...asked, 'A'])).byteLength).toBe(MANY / 2 + 1);
  }
  file.close();
});

it('may be given by an iterable that closes the container', async () => {
  const file = safeOpenSync(fileOutOfOrder(), { duplicates: 'last-wins' });
  const names = (function* () {
    yield* ASCII;
    file.close();
  })();
  const { code } = (await thrownBy(() => file.prefetch(names))) as SafetensorsError;
  expect(code).toBe('ERR_SAFETENSORS_CLOSED');
});
