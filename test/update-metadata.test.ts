import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  deserialize,
  type MetadataChanges,
  safeOpenSync,
  saveFile,
  serialize,
  updateMetadata,
} from '../src/index.ts';
import { anyModel, anyText, fileOf, looseHeader } from './support/arbitraries.ts';
import { patternBytes, rawFile } from './support/build.ts';
import { beginningChild } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { python, readByReference, withoutPython } from './support/python.ts';
import { rounds } from './support/rounds.ts';
import { writeSparseFile } from './support/sparse.ts';
import { temporaryFolder } from './support/temporary.ts';

const root = temporaryFolder();
let folders = 0;

function newPath(contents: Uint8Array | string): { folder: string; path: string } {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  const path = join(folder, 'model.safetensors');
  writeFileSync(path, contents);
  return { folder, path };
}

const LENGTH = 10_000;
const tensors = {
  a: { dtype: 'U8', shape: [LENGTH], data: patternBytes(LENGTH) },
  b: { dtype: 'F32', shape: [2], data: new Float32Array([1, 2]) },
} as const;

function headerOf(path: string): string {
  const bytes = readFileSync(path);
  return bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE()));
}

/** The header's JSON without the metadata. */
function entriesOf(path: string): object {
  const { __metadata__: _, ...entries } = JSON.parse(headerOf(path));
  return entries;
}

function expectTensors(path: string): void {
  const file = deserialize(readFileSync(path));
  expect(file.size).toBe(2);
  expect(Buffer.compare(file.getTensor('a').bytes, tensors.a.data)).toBe(0);
  expect([...file.getTensor('b').data]).toEqual([1, 2]);
}

describe('updateMetadata', () => {
  it('sets and removes keys, keeps the others, and their order', async () => {
    const metadata = new Map([
      ['z', '1'],
      ['10', '2'],
      ['a', '3'],
    ]);
    const { path } = newPath(serialize(tensors, { metadata, headerPadding: 200 }));
    const steps: [MetadataChanges, string][] = [
      [{ new: 'x', a: '4' }, '{"z":"1","10":"2","a":"4","new":"x"}'],
      [{ z: null, none: null }, '{"10":"2","a":"4","new":"x"}'],
      [new Map([['é"\n', '\u{1f600}']]), '{"10":"2","a":"4","new":"x","é\\"\\n":"\u{1f600}"}'],
      [{ '10': null, a: null, new: null, 'é"\n': null }, '{}'],
      [{ __proto__: null, constructor: 'c' }, '{"constructor":"c"}'],
    ];
    for (const [changes, text] of steps) {
      const { metadata: now, inPlace } = await updateMetadata(path, changes);
      expect(headerOf(path).startsWith(`{"__metadata__":${text} `)).toBe(true);
      expect(inPlace).toBe(true);
      expect({ ...now }).toEqual(JSON.parse(text));
      expect(Object.isFrozen(now)).toBe(true);
      expectTensors(path);
    }
  });

  it('changes nothing where nothing changes', async () => {
    for (const options of [{}, { metadata: {} }, { metadata: { k: 'v' } }]) {
      const { path } = newPath(serialize(tensors, options));
      const before = statSync(path, { bigint: true });
      const { metadata = {} } = options;
      const update = await updateMetadata(path, { ...metadata, none: null });
      expect({ ...update.metadata, inPlace: update.inPlace }).toEqual({
        ...metadata,
        inPlace: true,
      });
      const { ino, mtimeNs } = statSync(path, { bigint: true });
      expect({ ino, mtimeNs }).toEqual({ ino: before.ino, mtimeNs: before.mtimeNs });
    }
  });

  const roomy: [string, Uint8Array][] = [
    ['behind the metadata', serialize(tensors, { metadata: { a: '1' }, headerPadding: 99 })],
    ['where metadata may come', serialize(tensors, { headerPadding: 99 })],
    ['behind the header, as other writers leave it', serialize(tensors, { alignment: 4096 })],
    ['behind it, with metadata', serialize(tensors, { metadata: { a: '1' }, alignment: 4096 })],
  ];
  it.each(roomy)('writes in place where there is room %s', async (_, contents) => {
    const { folder, path } = newPath(contents);
    const { ino } = statSync(path);
    using file = safeOpenSync(path);
    const data = file.getTensor('a').bytes;
    expect((await updateMetadata(path, { key: 'value' })).inPlace).toBe(true);
    expect(statSync(path)).toMatchObject({ ino, size: contents.length });
    expect(deserialize(readFileSync(path)).metadata.key).toBe('value');
    expectTensors(path);
    // Who has it open goes on reading.
    expect(Buffer.compare(data, tensors.a.data)).toBe(0);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    // The next change touches nothing but the metadata.
    const rest = headerOf(path).slice(headerOf(path).indexOf('"b":'));
    expect((await updateMetadata(path, { key: 'another value' })).inPlace).toBe(true);
    expect(headerOf(path).endsWith(rest)).toBe(true);
  });

  it('writes a new file where there is none, which has room, and the data a block later', async () => {
    const { folder, path } = newPath(serialize(tensors));
    chmodSync(path, 0o640);
    const { ino } = statSync(path);
    const dataStart = 8 + headerOf(path).length;
    using file = safeOpenSync(path);
    const text = 'x'.repeat(5000);
    expect((await updateMetadata(path, { text })).inPlace).toBe(false);
    const now = statSync(path);
    expect(now.ino).not.toBe(ino);
    expect(now.mode & 0o7777).toBe(0o640);
    expect((8 + headerOf(path).length - dataStart) % 4096).toBe(0);
    expect({ ...deserialize(readFileSync(path)).metadata }).toEqual({ text });
    expectTensors(path);
    expect(Buffer.compare(file.getTensor('a').bytes, tensors.a.data)).toBe(0);
    expect((await updateMetadata(path, { more: 'y'.repeat(900) })).inPlace).toBe(true);
    expect(statSync(path).ino).toBe(now.ino);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  it('writes in place within one block of the file, and a new file where more would change', async () => {
    const BLOCK = 4096;
    const { path } = newPath(serialize(tensors, { headerPadding: 8 * BLOCK }));
    const long = 'x'.repeat(3 * BLOCK);
    const changes: [MetadataChanges, boolean][] = [
      [{ first: '1' }, true],
      [{ first: '2', short: 'y'.repeat(BLOCK / 2) }, true],
      [{ short: 'y'.repeat(BLOCK) }, false],
      [{ short: null, long }, false],
      [{ first: '3' }, true],
      [{ long: `${long}y` }, true],
      [{ last: 'z' }, true],
      [{ first: '4', last: 'zz' }, false],
      [{ first: '55' }, false], // all behind it moves
      [{ long: null, last: null }, false],
      [{ first: '6' }, true],
    ];
    const expected = new Map<string, string>();
    for (const [some, inPlace] of changes) {
      const before = readFileSync(path);
      const { ino } = statSync(path);
      const what = JSON.stringify(some).slice(0, 50);
      expect((await updateMetadata(path, some)).inPlace, what).toBe(inPlace);
      expect(statSync(path).ino === ino, what).toBe(inPlace);
      for (const [key, value] of Object.entries(some)) {
        if (value === null) expected.delete(key);
        else expected.set(key, value);
      }
      const now = readFileSync(path);
      expect(new Map(Object.entries(deserialize(now).metadata))).toEqual(expected);
      expectTensors(path);
      if (!inPlace) continue;
      const blocks = Array.from(now.keys()).filter((at) => now[at] !== before[at]);
      expect(new Set(blocks.map((at) => Math.floor(at / BLOCK))).size, what).toBe(1);
    }
  });

  it('makes room behind the metadata where that is behind a header of several blocks', async () => {
    const data = new Uint8Array(1);
    const many = Array.from(
      { length: 200 },
      (_, i) => [`tensor ${i}`, { dtype: 'U8', shape: [1], data }] as const,
    );
    const { path } = newPath(serialize(many, { alignment: 2 ** 16 }));
    expect((await updateMetadata(path, { a: '1' })).inPlace).toBe(false);
    expect((await updateMetadata(path, { a: '22' })).inPlace).toBe(true);
    expect(deserialize(readFileSync(path)).size).toBe(many.length);
  });

  it('keeps every byte of data that is longer than one copy', async () => {
    const length = 40 * 2 ** 20 + 3;
    const data = patternBytes(length);
    const { path } = newPath(serialize({ data: { dtype: 'U8', shape: [length], data } }));
    expect((await updateMetadata(path, { a: 'b' })).inPlace).toBe(false);
    expect(Buffer.compare(safeOpenSync(path).getTensor('data').bytes, data)).toBe(0);
  });

  it('follows links', async () => {
    const { folder, path } = newPath(serialize(tensors));
    const link = join(folder, 'link');
    symlinkSync('model.safetensors', link);
    await updateMetadata(link, { a: 'b' });
    expect(readlinkSync(link)).toBe('model.safetensors');
    expect({ ...deserialize(readFileSync(path)).metadata }).toEqual({ a: 'b' });
  });

  it('takes changes of one file one after another', async () => {
    const { path } = newPath(serialize(tensors));
    const numbers = Array.from({ length: 50 }, (_, i) => String(i));
    await Promise.all(numbers.map((n) => updateMetadata(path, { [`key ${n}`]: n.repeat(30) })));
    const { metadata } = deserialize(readFileSync(path));
    expect({ ...metadata }).toEqual(
      Object.fromEntries(numbers.map((n) => [`key ${n}`, n.repeat(30)])),
    );
    expectTensors(path);
  });

  it('takes changes in the order of the calls', async () => {
    const { path } = newPath(serialize(tensors, { headerPadding: 4096 }));
    const numbers = Array.from({ length: 50 }, (_, i) => String(i));
    await Promise.all(numbers.map((last) => updateMetadata(path, { last })));
    expect({ ...deserialize(readFileSync(path)).metadata }).toEqual({ last: '49' });
  });

  it('takes changes of one file one after another, whichever of its names they come by', async () => {
    // Room for all of them, since a copy is a file of its own.
    const { folder, path } = newPath(serialize(tensors, { headerPadding: 4096 }));
    const names = [path, ...[1, 2, 3].map((n) => join(folder, `link-${n}`))];
    for (const name of names.slice(1)) linkSync(path, name);
    const numbers = Array.from({ length: 40 }, (_, i) => String(i));
    await Promise.all(
      numbers.map((n, i) =>
        updateMetadata(names[i % names.length], { [`key ${n}`]: n.repeat(30) }),
      ),
    );
    const { metadata } = deserialize(readFileSync(path));
    expect({ ...metadata }).toEqual(
      Object.fromEntries(numbers.map((n) => [`key ${n}`, n.repeat(30)])),
    );
    for (const name of names) expect(statSync(name).ino).toBe(statSync(path).ino);
  });

  it.each(['saved over', 'removed'])(
    'does not bring back a file that is %s while it is copied',
    async (what) => {
      const { folder, path } = newPath(serialize(tensors));
      const other = join(folder, 'other');
      writeFileSync(other, 'other');
      const onProgress = () => (what === 'removed' ? rmSync(path) : renameSync(other, path));
      const error = await thrownBy(() => updateMetadata(path, { a: 'b' }, { onProgress }));
      expect(error.code).toBe('ERR_SAFETENSORS_FILE_CHANGED');
      expect(readdirSync(folder)).toEqual([what === 'removed' ? 'other' : 'model.safetensors']);
      if (what === 'saved over') expect(readFileSync(path, 'utf8')).toBe('other');
    },
  );

  it('leaves alone what a link leads to by now', async () => {
    const { folder, path } = newPath(serialize(tensors));
    const other = join(folder, 'other');
    const link = join(folder, 'link');
    writeFileSync(other, 'other');
    symlinkSync('model.safetensors', link);
    const onProgress = () => {
      rmSync(link);
      symlinkSync('other', link);
    };
    const first = updateMetadata(link, { a: 'b' }, { onProgress });
    // It has been told of the file, and waits.
    const second = thrownBy(() => updateMetadata(link, { c: 'd'.repeat(10_000) }));
    expect((await first).inPlace).toBe(false);
    // Too small a file, when it was found only after the link had been changed.
    expect((await second).code).toMatch(/^ERR_SAFETENSORS_(FILE_CHANGED|HEADER_TOO_SMALL)$/);
    expect(readFileSync(other, 'utf8')).toBe('other');
    expect({ ...deserialize(readFileSync(path)).metadata }).toEqual({ a: 'b' });
  });

  it('leaves the rest of any header as it is: unknown fields, order, spelling', async () => {
    const { path } = newPath('');
    const change = fc.dictionary(anyText, fc.option(anyText.map((text) => text.repeat(9))), {
      maxKeys: 4,
      noNullPrototype: true,
    });
    const property = fc.asyncProperty(
      anyModel,
      fc.integer(),
      fc.nat(100),
      fc.array(change, { minLength: 1, maxLength: 4 }),
      async (model, seed, padding, changes) => {
        const header = looseHeader(model, seed) + ' '.repeat(padding);
        const contents = fileOf(model, header);
        writeFileSync(path, contents);
        const entries = entriesOf(path);
        const expected = new Map(Object.entries(deserialize(contents).metadata));
        for (const some of changes) {
          await updateMetadata(path, new Map(Object.entries(some)));
          for (const [key, value] of Object.entries(some)) {
            if (value === null) expected.delete(key);
            else expected.set(key, value);
          }
          const now = readFileSync(path);
          const file = deserialize(now);
          expect(new Map(Object.entries(file.metadata))).toEqual(expected);
          expect(entriesOf(path)).toEqual(entries);
          expect(now.subarray(-model.data.length || now.length)).toEqual(Buffer.from(model.data));
        }
      },
    );
    await fc.assert(property, { numRuns: 100 });
  });

  it('leaves files that the reference reads: is there', withoutPython('of updateMetadata'));
  it.skipIf(python.problem !== undefined)('leaves files that the reference reads', async () => {
    const folder = join(root, 'reference');
    mkdirSync(folder);
    for (const [name, options] of Object.entries({ tight: {}, roomy: { headerPadding: 500 } })) {
      await saveFile(tensors, join(folder, name), options);
      await updateMetadata(join(folder, name), { format: 'pt', 'ключ\n': '"' });
    }
    const verdicts = readByReference(folder);
    expect(verdicts.length).toBe(2);
    for (const verdict of verdicts) {
      expect(verdict).toMatchObject({
        ok: true,
        metadata: { format: 'pt', 'ключ\n': '"' },
      });
    }
  });
});

describe('of a file that has to be copied', () => {
  const [first, second] = [patternBytes(7, 1), patternBytes(9, 2)];
  const newSparse = () => {
    const { folder, path } = newPath('');
    const byteLength = writeSparseFile(path, [
      { name: 'a', byteLength: 150_000_001, tail: first },
      { name: 'b', byteLength: 50_000_000, tail: second },
    ]);
    return { folder, path, byteLength };
  };

  it('tells how far it is, and keeps every byte', async () => {
    const { path, byteLength } = newSparse();
    const told: number[] = [];
    const totals = new Set<number>();
    await updateMetadata(
      path,
      { key: 'value' },
      {
        onProgress: ({ bytes, totalBytes }) => {
          told.push(bytes);
          totals.add(totalBytes);
        },
      },
    );
    expect(told.length).toBeGreaterThan(2);
    expect(told).toEqual(told.toSorted((a, b) => a - b));
    expect([...totals]).toEqual([told.at(-1)]);
    expect(statSync(path).size).toBe(told.at(-1));
    expect(statSync(path).size).toBeGreaterThan(byteLength);
    using file = safeOpenSync(path);
    expect(file.metadata).toEqual({ key: 'value' });
    for (const [name, tail] of [
      ['a', first],
      ['b', second],
    ] as const) {
      expect(file.getTensor(name).bytes.subarray(-tail.length)).toEqual(tail);
    }
  });

  it.each([0, 1, 2])('an abort leaves the file as it was (%i)', async (when) => {
    const { folder, path, byteLength } = newSparse();
    const before = statSync(path);
    const controller = new AbortController();
    const reason = new Error('enough');
    let told = 0;
    if (when === 0) controller.abort(reason);
    const options = {
      signal: controller.signal,
      onProgress: () => {
        if (++told === when) controller.abort(reason);
      },
    };
    expect(await thrownBy(() => updateMetadata(path, { key: 'value' }, options))).toBe(reason);
    expect(told).toBe(when);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    expect(statSync(path)).toMatchObject({ ino: before.ino, size: byteLength });
  });

  it('an abort does not wait for an fsync', async () => {
    const { folder, path } = newPath(serialize(tensors));
    const probe = await open(path);
    const sync = vi.spyOn(Object.getPrototypeOf(probe), 'sync');
    await probe.close();
    let end = () => {};
    const controller = new AbortController();
    const reason = new Error('enough');
    const syncing = new Promise<void>((begun) => {
      sync.mockImplementation(() => {
        begun();
        return new Promise<void>((resolve) => {
          end = resolve;
        });
      });
    });
    try {
      const failing = thrownBy(() => updateMetadata(path, { a: 'b' }, controller));
      await syncing;
      controller.abort(reason);
      expect(await failing).toBe(reason);
      expect(readdirSync(folder)).toEqual(['model.safetensors']);
    } finally {
      sync.mockRestore();
      end();
    }
    // Nobody waits for it either.
    expect((await updateMetadata(path, { c: 'd' })).metadata).toEqual({ c: 'd' });
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    expectTensors(path);
  });

  it('a signal may be given where nothing is copied', async () => {
    const { path } = newPath(serialize(tensors, { headerPadding: 100 }));
    const { signal } = new AbortController();
    expect(await updateMetadata(path, { key: 'value' }, { signal })).toMatchObject({
      inPlace: true,
    });
    const error = await thrownBy(() => updateMetadata(path, {}, { signal: 'no' } as object));
    expect(error).toBeInstanceOf(TypeError);
  });
});

describe('refuses, and leaves the file as it was', () => {
  const valid = serialize(tensors);
  const cases: [string, Uint8Array, unknown, object][] = [
    ['no safetensors file', Buffer.from('{"a":1}'), { a: 'b' }, { code: /HEADER_TOO_SMALL/ }],
    [
      'a file with trailing bytes',
      Buffer.concat([valid, Buffer.of(0)]),
      { a: 'b' },
      { code: /TRAILING_BYTES/ },
    ],
    [
      'a key twice',
      rawFile('{"__metadata__":{"a":"1","a":"2"}}'),
      { a: 'b' },
      { code: /DUPLICATE_KEY/ },
    ],
    ['a number', valid, { a: 1 }, { message: /value of 'a': expected a string or null, found 1/ }],
    [
      'undefined',
      valid,
      { a: undefined },
      { message: /expected a string or null, found undefined/ },
    ],
    ['no changes', valid, null, { message: /changes: expected an object/ }],
    ['a list', valid, [['a', 'b']], { message: /changes: expected an object/ }],
    ['a lone surrogate', valid, { a: '\udfff' }, { message: /lone surrogate/ }],
    ['100 MB', valid, { a: 'x'.repeat(1e8) }, { message: /header: expected at most 100000000/ }],
  ];
  it.each(cases)('%s', async (_, contents, changes, matches) => {
    const { folder, path } = newPath(contents);
    const error = await thrownBy(() => updateMetadata(path, changes as MetadataChanges));
    for (const [field, pattern] of Object.entries(matches)) {
      expect(error[field as 'code' | 'message']).toMatch(pattern);
    }
    expect(Buffer.compare(readFileSync(path), contents)).toBe(0);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  it('a path that leads nowhere, or to a folder', async () => {
    const { folder } = newPath('');
    const none = join(folder, 'none');
    expect(await thrownBy(() => updateMetadata(none, {}))).toMatchObject({
      code: 'ENOENT',
      path: none,
    });
    expect(await thrownBy(() => updateMetadata(folder, {}))).toMatchObject({ code: 'EISDIR' });
    // As with saving: nothing is looked at after an abort.
    const aborted = { signal: AbortSignal.abort() };
    const { name } = await thrownBy(() => updateMetadata(none, {}, aborted));
    expect(name).toBe('AbortError');
  });
});

describe('kill −9', () => {
  const KILLS = rounds(30);
  const LARGE_KILLS = rounds(10);

  it('as soon as a change of megabytes is seen leaves a whole file', async () => {
    const MOST = 20_000_000;
    const { path } = newPath(serialize(tensors, { headerPadding: MOST + 1000, metadata: {} }));
    const beginning = () => {
      const bytes = Buffer.alloc(64);
      const fd = openSync(path, 'r');
      readSync(fd, bytes, 0, bytes.length, 8);
      closeSync(fd);
      return bytes.toString();
    };
    for (let i = 0; i < LARGE_KILLS; i++) {
      const before = beginning();
      const child = await beginningChild('update-rounds', [path, String(MOST), '7919999']);
      while (beginning() === before) await setImmediate();
      child.kill('SIGKILL');
      await once(child, 'close');
      expectTensors(path);
      const { text, length } = deserialize(readFileSync(path)).metadata;
      expect(text === 'x'.repeat(Number(length))).toBe(true);
    }
  }, 120_000);

  it.each([
    ['of changes in place', 3000, 4000],
    ['of changes that need new files, too', 0, 40_000],
  ])(
    '%s leaves a whole file',
    async (_, headerPadding, most) => {
      const { folder, path } = newPath(serialize(tensors, { headerPadding, metadata: {} }));
      for (let i = 0; i < KILLS; i++) {
        const child = await beginningChild('update-rounds', [path, String(most)]);
        await sleep(Math.random() * 40);
        child.kill('SIGKILL');
        await once(child, 'close');
        expectTensors(path);
        const { text = '', length = '0' } = deserialize(readFileSync(path)).metadata;
        expect(text).toBe('x'.repeat(Number(length)));
        for (const name of readdirSync(folder)) {
          if (name !== 'model.safetensors') rmSync(join(folder, name));
        }
      }
    },
    120_000,
  );
});
