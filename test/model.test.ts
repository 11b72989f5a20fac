import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openModel, SafetensorsError, SafetensorsModel } from '../src/index.ts';
import { buildFile, patternBytes, rawFile, type TensorSource } from './support/build.ts';
import { thrownBy } from './support/errors.ts';
import { INDEX, indexOf, shardName, u8, writeModel } from './support/models.ts';
import { temporaryFolder } from './support/temporary.ts';
import { expectContents } from './support/values.ts';

const root = temporaryFolder();
let folders = 0;
const newFolder = () => join(root, `model-${folders++}`);

const FIRST = shardName(1, 2);
const SECOND = shardName(2, 2);

const f32: TensorSource = { name: 'x', dtype: 'F32', shape: [2, 3], data: patternBytes(24, 5) };
const f64: TensorSource = { name: 'z', dtype: 'F64', shape: [1], data: patternBytes(8, 9) };

/** Two shards; `x` and `y` are interleaved in the index. */
function twoShards(folder = newFolder()): string {
  return writeModel(folder, {
    shards: { [FIRST]: [f32, u8('a', 1, 2, 3)], [SECOND]: [u8('y', 4, 5), f64] },
    index: indexOf([
      ['y', SECOND],
      ['x', FIRST],
      ['z', SECOND],
      ['a', FIRST],
    ]),
    options: {
      [FIRST]: { metadata: { format: 'pt', one: '1' } },
      [SECOND]: { metadata: { format: 'np', two: '2' } },
    },
  });
}

/** Files of a folder that this process has open or mapped. */
function heldFiles(folder: string): string[] {
  if (process.platform !== 'linux') return [];
  const mapped = readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter((line) => line.includes(folder));
  const open = readdirSync('/proc/self/fd').map((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`);
    } catch {
      return ''; // that of the listing itself
    }
  });
  return [...mapped, ...open.filter((target) => target.includes(folder))];
}

/** That a model is refused, and that nothing of it stays open. */
async function expectRefused(
  folder: string,
  expected: { code: string; path?: string; tensor?: string },
  options?: Parameters<typeof openModel>[1],
): Promise<Error> {
  const error = await thrownBy(() => openModel(folder, options));
  const { code, path, ...rest } = expected;
  expect(error).toMatchObject({
    code: `ERR_SAFETENSORS_${code}`,
    ...(path === undefined ? {} : { path: join(folder, path) }),
    ...rest,
  });
  expect(error).toBeInstanceOf(SafetensorsError);
  expect(heldFiles(folder)).toEqual([]);
  return error;
}

describe('a sharded model', () => {
  it('is one container', async () => {
    const folder = twoShards();
    using model = await openModel(folder);
    expect(model).toBeInstanceOf(SafetensorsModel);
    expect(model.path).toBe(join(folder, INDEX));
    expect(model.size).toBe(4);
    expect(model.keys()).toEqual(['y', 'x', 'z', 'a']);
    expect(model.offsetKeys()).toEqual(['x', 'a', 'y', 'z']);
    expect(model.has('x')).toBe(true);
    expect(model.has('w')).toBe(false);
    expect(model.metadata).toEqual(
      Object.assign(Object.create(null), { format: 'pt', one: '1', two: '2' }),
    );
    expect(Object.isFrozen(model.metadata)).toBe(true);
    expectContents(model.getTensor('x'), f32.data);
    expectContents(model.getTensor('a'), Uint8Array.of(1, 2, 3));
    expectContents(model.getTensor('y'), Uint8Array.of(4, 5));
    expectContents(model.getTensor('z'), f64.data);
    expect(model.getTensor('x').shape).toEqual([2, 3]);
    expect(model.info('z')).toEqual({ dtype: 'F64', shape: [1], dataOffsets: [2, 10] });
    expect(model.info('a')).toEqual({ dtype: 'U8', shape: [3], dataOffsets: [24, 27] });
    expect([...model].map(([name, tensor]) => [name, tensor.name])).toEqual(
      ['y', 'x', 'z', 'a'].map((name) => [name, name]),
    );
    const error = await thrownBy(() => model.getTensor('xx'));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_TENSOR_NOT_FOUND', tensor: 'xx' });
  });

  it('tells of its files', async () => {
    const folder = twoShards();
    using model = await openModel(folder);
    const sizes = [FIRST, SECOND].map((name) => readFileSync(join(folder, name)).length);
    expect(model.shards).toEqual([
      { path: join(folder, FIRST), byteLength: sizes[0] },
      { path: join(folder, SECOND), byteLength: sizes[1] },
    ]);
    expect(model.byteLength).toBe(sizes[0] + sizes[1]);
    expect(model.shardOf('y')).toBe(model.shards[1]);
    expect(model.shardOf('a')).toBe(model.shards[0]);
    expect((await thrownBy(() => model.shardOf('w'))).message).toContain('no tensor "w"');
  });

  it('shares one buffer', async () => {
    using model = await openModel(twoShards());
    const buffers = new Set([...model].map(([, tensor]) => tensor.bytes.buffer));
    expect(buffers.size).toBe(1);
  });

  it('is opened by its index, by a file: URL and by a relative path', async () => {
    const folder = twoShards();
    for (const path of [join(folder, INDEX), pathToFileURL(folder), `${folder}/`]) {
      using model = await openModel(path);
      expect(model.size).toBe(4);
    }
    const before = process.cwd();
    try {
      process.chdir(folder);
      const opening = openModel('.');
      process.chdir(before);
      using model = await opening;
      expect(model.path).toBe(INDEX);
      model.check();
    } finally {
      process.chdir(before);
    }
  });

  it('may have any index in the folder, and shards that are links', async () => {
    const folder = newFolder();
    const blobs = newFolder();
    writeModel(blobs, { shards: { blob: [u8('a', 7)] } });
    mkdirSync(folder);
    symlinkSync(join(blobs, 'blob'), join(folder, 'adapter-1.safetensors'));
    const index = join(folder, 'adapter.safetensors.index.json');
    writeFileSync(index, indexOf([['a', 'adapter-1.safetensors']]));
    using model = await openModel(folder);
    expect(model.path).toBe(index);
    expect([...model.getTensor('a').bytes]).toEqual([7]);
  });

  it('empties its views when it is closed', async () => {
    const folder = twoShards();
    const model = await openModel(folder);
    const { data } = model.getTensor('x');
    const tensor = model.getTensor('z');
    model.close();
    model.close();
    expect(model.closed).toBe(true);
    expect(data.length).toBe(0);
    for (const use of [() => tensor.data, () => model.keys(), () => model.shardOf('x')]) {
      expect((await thrownBy(use)).code).toBe('ERR_SAFETENSORS_CLOSED');
    }
    expect((await thrownBy(() => model.check())).code).toBe('ERR_SAFETENSORS_CLOSED');
    expect(heldFiles(folder)).toEqual([]);
  });

  it('holds no descriptor while it is open', async () => {
    const folder = twoShards();
    using model = await openModel(folder);
    expect(model.size).toBe(4);
    expect(heldFiles(folder).filter((line) => line.startsWith('/'))).toEqual([]);
  });

  it('never changes its files', async () => {
    const folder = twoShards();
    const before = readFileSync(join(folder, FIRST));
    using model = await openModel(folder);
    model.getTensor('x').bytes.fill(255);
    expect(readFileSync(join(folder, FIRST)).equals(before)).toBe(true);
  });
});

describe('check()', () => {
  const changes: [string, string, (path: string) => void][] = [
    ['a shard that was removed', SECOND, (path) => unlinkSync(path)],
    ['a shard that was cut short', FIRST, (path) => truncateSync(path, 20)],
    [
      'a shard that was replaced',
      SECOND,
      (path) => {
        renameSync(path, `${path}~`);
        writeFileSync(path, '');
      },
    ],
    ['an index that was rewritten', INDEX, (path) => writeFileSync(path, '{}')],
  ];
  it.each(changes)('throws FILE_CHANGED for %s', async (_, name, change) => {
    const folder = twoShards();
    using model = await openModel(folder);
    model.check();
    change(join(folder, name));
    expect(await thrownBy(() => model.check())).toMatchObject({
      code: 'ERR_SAFETENSORS_FILE_CHANGED',
      path: join(folder, name),
    });
  });
});

describe('a single file', () => {
  const bytes = buildFile([f32, u8('a', 1)], { metadata: { format: 'pt' } });

  it.each(['model.safetensors', 'other.safetensors'])('%s in a folder', async (name) => {
    const folder = newFolder();
    mkdirSync(folder);
    writeFileSync(join(folder, name), bytes);
    for (const path of [folder, join(folder, name)]) {
      using model = await openModel(path);
      expect(model.path).toBe(join(folder, name));
      expect(model.keys()).toEqual(['x', 'a']);
      expect(model.shards).toEqual([{ path: join(folder, name), byteLength: bytes.length }]);
      expect(model.shardOf('a')).toBe(model.shards[0]);
      expect({ ...model.metadata }).toEqual({ format: 'pt' });
      expectContents(model.getTensor('x'), f32.data);
      expect(model.info('a').dataOffsets).toEqual([24, 25]);
      model.check();
    }
  });

  it('gives way to an index', async () => {
    const folder = twoShards();
    writeFileSync(join(folder, 'model.safetensors'), bytes);
    using model = await openModel(folder);
    expect(model.size).toBe(4);
  });
});

describe('a folder without a model, or with several', () => {
  const cases: [string, string[], RegExp][] = [
    ['nothing', [], /no model/],
    ['other files', ['config.json'], /no model/],
    ['a shard alone', [FIRST], /shards of a model but no index/],
    ['several files', ['a.safetensors', 'b.safetensors'], /several models.*"a\.safetensors"/],
    ['several indexes', ['a.safetensors.index.json', 'b.safetensors.index.json'], /several/],
  ];
  it.each(cases)('%s', async (_, names, message) => {
    const folder = newFolder();
    mkdirSync(folder);
    for (const name of names) writeFileSync(join(folder, name), buildFile([u8('a', 1)]));
    const error = await expectRefused(folder, { code: 'SHARD_MISSING' });
    expect(error.message).toMatch(message);
  });

  it('no folder at all', async () => {
    for (const path of [join(root, 'nowhere'), '']) {
      expect(await thrownBy(() => openModel(path))).toMatchObject({ code: 'ENOENT', path });
    }
  });
});

describe('shards', () => {
  it.each([FIRST, SECOND])('that are missing: %s', async (name) => {
    const folder = twoShards();
    unlinkSync(join(folder, name));
    const error = await expectRefused(folder, { code: 'SHARD_MISSING', path: name });
    expect(error.cause).toMatchObject({ code: 'ENOENT' });
  });

  it('that are links to nothing', async () => {
    const folder = twoShards();
    unlinkSync(join(folder, FIRST));
    symlinkSync('nowhere', join(folder, FIRST));
    await expectRefused(folder, { code: 'SHARD_MISSING', path: FIRST });
  });

  it('that are folders or pipes', async () => {
    const folder = twoShards();
    rmSync(join(folder, SECOND));
    mkdirSync(join(folder, SECOND));
    expect(await thrownBy(() => openModel(folder))).toMatchObject({
      code: 'EISDIR',
      path: join(folder, SECOND),
    });
    rmSync(join(folder, SECOND), { recursive: true });
    execFileSync('mkfifo', [join(folder, SECOND)]);
    await expectRefused(folder, { code: 'NOT_SAFETENSORS', path: SECOND });
  });

  it('that may not be read', async ({ skip }) => {
    if (process.getuid?.() === 0) {
      console.warn('LEFT OUT: EACCES in test/model.test.ts: root may read every file');
      skip('root may read every file');
    }
    const folder = twoShards();
    chmodSync(join(folder, FIRST), 0);
    expect(await thrownBy(() => openModel(folder))).toMatchObject({
      code: 'EACCES',
      path: join(folder, FIRST),
    });
  });

  const broken: [string, Uint8Array, string, string?][] = [
    ['empty', new Uint8Array(0), 'HEADER_TOO_SMALL'],
    ['cut short', buildFile([u8('y', 4, 5), f64]).subarray(0, -1), 'TRUNCATED'],
    ['too long', Buffer.concat([buildFile([u8('y', 4, 5), f64]), Buffer.of(0)]), 'TRAILING_BYTES'],
    ['a pickle', Buffer.from('\x80\x02}q\x01.padding', 'latin1'), 'NOT_SAFETENSORS'],
    ['no UTF-8', rawFile(Buffer.from('{"\xff"}', 'latin1')), 'HEADER_UTF8'],
    ['no JSON', rawFile('{"y":}'), 'HEADER_JSON', 'y'],
    [
      'of an unknown dtype',
      rawFile('{"y":{"dtype":"X","shape":[0],"data_offsets":[0,0]}}'),
      'UNKNOWN_DTYPE',
      'y',
    ],
    [
      'a gap',
      rawFile('{"y":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', Buffer.alloc(2)),
      'INVALID_OFFSET',
      'y',
    ],
    ['a tensor twice', buildFile([u8('y', 4, 5), f64, u8('y', 1)]), 'DUPLICATE_KEY', 'y'],
    [
      'a tensor twice that is not served',
      buildFile([u8('y', 4, 5), f64, u8('not', 1), u8('not', 1)]),
      'DUPLICATE_KEY',
      'not',
    ],
  ];
  it.each(broken)('that are %s', async (_, bytes, code, tensor) => {
    const folder = twoShards();
    writeFileSync(join(folder, SECOND), bytes);
    const expected = { code, path: SECOND, ...(tensor === undefined ? {} : { tensor }) };
    await expectRefused(folder, expected);
  });

  it('with headers of any size, also over the limit', async () => {
    const long = u8('x'.repeat(3_000_000), 1);
    const folder = writeModel(newFolder(), { shards: { [FIRST]: [long], [SECOND]: [f64] } });
    {
      using model = await openModel(folder);
      expect([...model.getTensor(long.name).bytes]).toEqual([1]);
    }
    const error = await expectRefused(
      folder,
      { code: 'HEADER_TOO_LARGE' },
      { maxHeaderBytes: 3e6 },
    );
    expect(error).toMatchObject({ path: join(folder, INDEX) });
    writeFileSync(join(folder, INDEX), indexOf([['z', SECOND]]));
    using model = await openModel(folder, { maxHeaderBytes: 3e6 });
    expect(model.keys()).toEqual(['z']);
  });

  it('with a longer header than the index lets expect', async () => {
    const folder = newFolder();
    const many = Array.from({ length: 2000 }, (_, i) => u8(`tensor ${i}`, i & 255));
    writeModel(folder, { shards: { [FIRST]: many }, index: indexOf([['tensor 1999', FIRST]]) });
    using model = await openModel(folder);
    expect(model.size).toBe(1);
    expect([...model.getTensor('tensor 1999').bytes]).toEqual([1999 & 255]);
  });
});

describe('the weight_map is a list of what is allowed', () => {
  it('a tensor that it does not have, or has elsewhere, is not served', async () => {
    const folder = writeModel(newFolder(), {
      shards: {
        [FIRST]: [u8('secret', 1), u8('both', 2), u8('mine', 3)],
        [SECOND]: [u8('both', 4), f64],
      },
      index: indexOf([
        ['both', SECOND],
        ['mine', FIRST],
        ['z', SECOND],
      ]),
    });
    using model = await openModel(folder);
    expect(model.keys()).toEqual(['both', 'mine', 'z']);
    expect(model.offsetKeys()).toEqual(['mine', 'both', 'z']);
    expect([...model.getTensor('both').bytes]).toEqual([4]);
    expect([...model.getTensor('mine').bytes]).toEqual([3]);
    expect(model.has('secret')).toBe(false);
    expect(model.info('both').dataOffsets).toEqual([0, 1]);
  });

  it.each([
    [
      'nowhere',
      'w',
      [
        ['y', SECOND],
        ['w', FIRST],
        ['x', FIRST],
        ['z', SECOND],
      ],
    ],
    [
      'elsewhere',
      'x',
      [
        ['y', SECOND],
        ['x', SECOND],
        ['a', FIRST],
      ],
    ],
    ['__metadata__', '__metadata__', [['__metadata__', FIRST]]],
  ] as [string, string, [string, string][]][])(
    'a tensor that is %s is INDEX_MISMATCH',
    async (_, tensor, map) => {
      const folder = twoShards();
      writeFileSync(join(folder, INDEX), indexOf(map));
      await expectRefused(folder, { code: 'INDEX_MISMATCH', path: INDEX, tensor });
    },
  );

  it('what is wrong with an earlier shard comes first, and with the index before that', async () => {
    const folder = twoShards();
    const broken = rawFile('{"y":', Buffer.of());
    const missing = [
      ['y', SECOND],
      ['w', FIRST],
    ] as const;
    writeFileSync(join(folder, SECOND), broken);
    await expectRefused(folder, { code: 'HEADER_JSON', path: SECOND });
    writeFileSync(join(folder, INDEX), indexOf(missing));
    await expectRefused(folder, { code: 'INDEX_MISMATCH', path: INDEX, tensor: 'w' });
    writeFileSync(join(folder, FIRST), broken);
    await expectRefused(folder, { code: 'HEADER_JSON', path: FIRST });
    writeFileSync(join(folder, INDEX), indexOf([...missing, ['y', FIRST]]));
    await expectRefused(folder, { code: 'DUPLICATE_KEY', path: INDEX, tensor: 'y' });
    unlinkSync(join(folder, FIRST));
    await expectRefused(folder, { code: 'SHARD_MISSING', path: FIRST });
  });

  it('headers of more bytes than are scanned at once', async () => {
    const files = [shardName(1, 3), shardName(2, 3), shardName(3, 3)];
    const many = (file: string) =>
      Array.from({ length: 40_000 }, (_, i) => ({
        name: `${file} ${i}`,
        dtype: 'U8',
        shape: [1, i % 7, 1],
        data: patternBytes(i % 7, i),
      }));
    const shards = Object.fromEntries(files.map((file) => [file, many(file)]));
    const folder = writeModel(newFolder(), {
      shards,
      index: indexOf(
        files.flatMap((file) => shards[file].map(({ name }) => [name, file] as const)),
      ),
    });
    using model = await openModel(folder);
    expect(model.size).toBe(120_000);
    for (const { name, shape, data } of files.flatMap((file) => shards[file].slice(-9))) {
      expect(model.info(name).shape).toEqual(shape);
      expect(model.getTensor(name).bytes).toEqual(new Uint8Array(data));
    }
  });

  const names = [
    '',
    '__proto__',
    'constructor',
    'toString',
    '\0',
    'ä\u{1f600}',
    '"\\/\b\n',
    '0',
    'hasOwnProperty',
  ];

  it('names are any strings', async () => {
    const tensors = names.map((name, i) => u8(name, i));
    const folder = writeModel(newFolder(), { shards: { [FIRST]: tensors } });
    using model = await openModel(folder);
    expect(model.keys()).toEqual(names);
    for (const [i, name] of names.entries()) {
      expect([...model.getTensor(name).bytes], name).toEqual([i]);
    }
  });

  it('names may be escaped in the index only, or in the header only', async () => {
    const folder = writeModel(newFolder(), { shards: { [FIRST]: [u8('é\n', 1), u8('plain', 2)] } });
    const index = `{"weight_map" : {"\\u00e9\\u000a":"model\\u002d00001-of-00002.safetensors",
      "\\u0070lain":"${FIRST}"} , "metadata":{"weight_map":[1]}}`;
    writeFileSync(join(folder, INDEX), index);
    using model = await openModel(folder);
    expect(model.keys()).toEqual(['é\n', 'plain']);
    expect([...model.getTensor('plain').bytes]).toEqual([2]);
  });
});

describe('names of shards', () => {
  it.each([
    '../model.safetensors',
    '..',
    '/etc/model.safetensors',
    'sub/model.safetensors',
    'sub\\model.safetensors',
    'C:model.safetensors',
    'model.bin',
    'model.safetensors.index.json',
    'model.safetensors/',
    'model..safetensors',
    'model.safetensors\0',
    '\0.safetensors',
    '.safetensors',
    'model.SAFETENSORS',
    '',
  ])('%j is SHARD_PATH', async (name) => {
    const folder = twoShards();
    writeFileSync(
      join(folder, INDEX),
      indexOf([
        ['x', FIRST],
        ['y', name],
      ]),
    );
    await expectRefused(folder, { code: 'SHARD_PATH', path: INDEX });
  });

  it.each(['model.safetensors', 'é.safetensors', 'a b~1.safetensors', '-.safetensors'])(
    '%j is one',
    async (name) => {
      const folder = writeModel(newFolder(), { shards: { [name]: [u8('a', 1)] } });
      using model = await openModel(join(folder, INDEX));
      expect(model.shards[0].path).toBe(join(folder, name));
    },
  );
});

describe('indexes that are wrong', () => {
  const cases: [string, string | Uint8Array, string, RegExp?][] = [
    ['empty', '', 'HEADER_JSON'],
    ['no object', '[]', 'HEADER_JSON', /"\{" that opens the index/],
    ['no weight_map', '{"metadata":{}}', 'HEADER_JSON', /a field "weight_map"/],
    ['an empty object', '{}', 'HEADER_JSON', /a field "weight_map"/],
    ['a weight_map that is an array', '{"weight_map":[]}', 'HEADER_JSON'],
    ['a weight_map that is null', '{"weight_map":null}', 'HEADER_JSON'],
    ['a value that is a number', '{"weight_map":{"a":1}}', 'HEADER_JSON', /name of a shard/],
    ['a value that is an object', `{"weight_map":{"a":{"b":"${FIRST}"}}}`, 'HEADER_JSON'],
    ['a comma at the end', `{"weight_map":{"x":"${FIRST}",}}`, 'HEADER_JSON'],
    ['a comma too few', `{"weight_map":{"x":"${FIRST}" "a":"${FIRST}"}}`, 'HEADER_JSON'],
    ['text behind it', `{"weight_map":{"x":"${FIRST}"}} x`, 'HEADER_JSON', /white space after/],
    ['cut short', `{"weight_map":{"x":"${FIRST}"`, 'HEADER_JSON'],
    ['cut short in a name', `{"weight_map":{"x":"${FIRST}","y`, 'HEADER_JSON'],
    ['a lone surrogate', `{"weight_map":{"\\ud800":"${FIRST}"}}`, 'HEADER_JSON', /surrogate/],
    ['a raw control character', `{"weight_map":{"\n":"${FIRST}"}}`, 'HEADER_JSON'],
    ['no UTF-8', Buffer.from(`{"weight_map":{"\xff":"${FIRST}"}}`, 'latin1'), 'HEADER_UTF8'],
    ['deep nesting', `{"x":${'['.repeat(1e6)}`, 'HEADER_JSON', /levels of nesting/],
    ['two weight_maps', '{"weight_map":{},"weight_map":{}}', 'DUPLICATE_KEY'],
    [
      'two names',
      indexOf([
        ['x', FIRST],
        ['y', SECOND],
        ['x', FIRST],
      ]),
      'DUPLICATE_KEY',
      /"x"/,
    ],
    [
      'two names, one escaped',
      `{"weight_map":{"x":"${FIRST}","\\u0078":"${SECOND}"}}`,
      'DUPLICATE_KEY',
    ],
  ];
  it.each(cases)('%s', async (_, index, code, message = /./) => {
    const folder = twoShards();
    writeFileSync(join(folder, INDEX), index);
    const error = await expectRefused(folder, { code, path: INDEX });
    expect(error.message).toMatch(message);
  });

  it("'last-wins' takes the last of equal names", async () => {
    const folder = writeModel(newFolder(), {
      shards: { [FIRST]: [u8('a', 1), u8('b', 2)], [SECOND]: [u8('a', 3), u8('a', 4)] },
      index: indexOf([
        ['a', FIRST],
        ['b', FIRST],
        ['a', SECOND],
      ]),
    });
    // The second 'a' of the second shard begins at 1: the first one leaves a gap.
    await expectRefused(folder, { code: 'INVALID_OFFSET' }, { duplicates: 'last-wins' });
    const second =
      '{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}';
    writeFileSync(join(folder, SECOND), rawFile(second, Buffer.of(5)));
    using model = await openModel(folder, { duplicates: 'last-wins' });
    expect(model.keys()).toEqual(['a', 'b']);
    expect([...model.getTensor('a').bytes]).toEqual([5]);
    expect([...model.getTensor('b').bytes]).toEqual([2]);
  });

  it('too many bytes', async () => {
    const folder = twoShards();
    const { length } = readFileSync(join(folder, INDEX));
    await expectRefused(
      folder,
      { code: 'HEADER_TOO_LARGE', path: INDEX },
      { maxHeaderBytes: length - 1 },
    );
  });

  it('too many shards', async () => {
    const folder = twoShards();
    const map = Array.from({ length: 100_001 }, (_, i) => [`${i}`, `${i}.safetensors`] as const);
    writeFileSync(join(folder, INDEX), indexOf(map));
    await expectRefused(folder, { code: 'HEADER_TOO_LARGE', path: INDEX });
  });

  it('that have nothing in them are models of nothing', async () => {
    const folder = twoShards();
    writeFileSync(join(folder, INDEX), '{"weight_map":{}}');
    using model = await openModel(folder);
    expect([model.size, model.byteLength, model.shards, [...model]]).toEqual([0, 0, [], []]);
    model.check();
  });
});

describe('misuse', () => {
  it.each([[1], [null], [undefined], [{}], ['a\0b']])('a path that is %j', async (path) => {
    expect(await thrownBy(() => openModel(path as string))).toBeInstanceOf(TypeError);
  });

  it('options', async () => {
    const options = { duplicates: 'first' } as unknown as Parameters<typeof openModel>[1];
    expect(await thrownBy(() => openModel(twoShards(), options))).toBeInstanceOf(TypeError);
  });
});

it('many shards are opened and served', async () => {
  const count = 300;
  const shards = Object.fromEntries(
    Array.from({ length: count }, (_, i) => [
      shardName(i + 1, count),
      [u8(`t${i}`, i & 255, i >> 8)],
    ]),
  );
  const folder = writeModel(newFolder(), { shards });
  expect(readdirSync(folder).length).toBe(count + 1);
  using model = await openModel(folder);
  for (let i = 0; i < count; i++) {
    expect([...model.getTensor(`t${i}`).bytes]).toEqual([i & 255, i >> 8]);
  }
});
