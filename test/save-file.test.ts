import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  createWriter,
  loadFile,
  openModel,
  type SafetensorsFile,
  type SaveOptions,
  safeOpen,
  safeOpenSync,
  saveFile,
  saveModel,
  serialize,
  type TensorLike,
  type TensorsLike,
  updateMetadata,
  type WriteProgress,
} from '../src/index.ts';
import { patternBytes } from './support/build.ts';
import { runChild } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { temporaryFolder } from './support/temporary.ts';

const MEGABYTE = 2 ** 20;

const root = temporaryFolder();
let folders = 0;

/** An empty folder of its own for each test. */
function newFolder(): string {
  const folder = join(root, String(folders++));
  mkdirSync(folder);
  return folder;
}

function bytesOf(length: number, seed = 1): TensorLike {
  return { dtype: 'U8', shape: [length], data: patternBytes(length, seed) };
}

const small = { b: bytesOf(5), a: bytesOf(3, 2) };

/** What is in a folder once nothing is being written there: no temporary file may be. */
function expectFiles(folder: string, ...names: string[]): void {
  expect(readdirSync(folder).sort()).toEqual([...names].sort());
}

const temporaries = (folder: string) => readdirSync(folder).filter((name) => name.endsWith('.tmp'));

/** Tensors of many sizes: tiny ones by the thousand, and some that no single write holds. */
function manySizes(): Map<string, TensorLike> {
  const tensors = new Map<string, TensorLike>();
  for (let i = 0; i < 3000; i++) tensors.set(`tiny.${i}`, bytesOf(i % 7, i));
  for (const megabytes of [1, 17, 8, 3]) {
    tensors.set(`large.${megabytes}`, bytesOf(megabytes * MEGABYTE + 1, megabytes));
  }
  tensors.set('odd', { dtype: 'F64', shape: [], data: new Float64Array([Math.PI]) });
  return tensors;
}

describe('saveFile', () => {
  it('writes what serialize makes', async () => {
    const folder = newFolder();
    const path = join(folder, 'model.safetensors');
    const tensors = manySizes();
    for (const options of [
      {},
      { metadata: { a: 'b', c: 'd' }, headerPadding: 99, alignment: 4096 },
    ]) {
      await saveFile(tensors, path, options);
      expect(Buffer.compare(readFileSync(path), serialize(tensors, options))).toBe(0);
    }
    await saveFile({}, path, { fsync: false });
    expect(Buffer.compare(readFileSync(path), serialize({}))).toBe(0);
    expectFiles(folder, 'model.safetensors');
  });

  it('takes URLs and relative paths', async () => {
    const folder = newFolder();
    const path = join(folder, 'a model#1.safetensors');
    await saveFile(small, pathToFileURL(path));
    expect(Buffer.compare(readFileSync(path), serialize(small))).toBe(0);
    const relative = `./test/${'../'.repeat(process.cwd().split('/').length)}${folder}/relative`;
    await saveFile(small, relative);
    expectFiles(folder, 'a model#1.safetensors', 'relative');
  });

  it('writes tensors of open files, of several files, and misaligned ones, without reading them', async () => {
    const folder = newFolder();
    const [first, second, both] = ['first', 'second', 'both'].map((name) => join(folder, name));
    await saveFile(
      { pad: bytesOf(1), f: { dtype: 'F32', shape: [2], data: new Float32Array(2) } },
      first,
    );
    await saveFile(manySizes(), second);
    using a = safeOpenSync(first);
    using b = safeOpenSync(second);
    const mixed: TensorsLike = new Map<string, TensorLike>([...a, ...b, ['new', bytesOf(9)]]);
    await saveFile(mixed, both);
    const expected = serialize(new Map<string, TensorLike>([...a, ...b, ['new', bytesOf(9)]]));
    expect(Buffer.compare(readFileSync(both), expected)).toBe(0);
  });

  it('saves over the very file that the tensors are of', async () => {
    const path = join(newFolder(), 'model.safetensors');
    await saveFile(manySizes(), path);
    using file = await safeOpen(path);
    const kept = [...file].filter(([name]) => name.startsWith('large'));
    await saveFile(kept, path, { metadata: { of: 'itself' } });
    const again = await loadFile(path);
    expect([...again.keys()]).toEqual(kept.map(([name]) => name));
    for (const [name, tensor] of kept) {
      expect(Buffer.compare(again.get(name)?.bytes ?? Buffer.of(), tensor.bytes), name).toBe(0);
    }
    expect((await thrownBy(() => file.check())).code).toBe('ERR_SAFETENSORS_FILE_CHANGED');
  });

  it('tells how far it is, and nothing after its end', async () => {
    const path = join(newFolder(), 'model.safetensors');
    const seen: WriteProgress[] = [];
    await saveFile(manySizes(), path, { onProgress: (progress) => seen.push(progress) });
    const { size } = statSync(path);
    const { length } = seen;
    expect(length).toBeGreaterThan(4);
    expect(seen.every(({ totalBytes }) => totalBytes === size)).toBe(true);
    expect(seen.at(-1)?.bytes).toBe(size);
    expect(seen.map(({ bytes }) => bytes)).toEqual(
      seen.map(({ bytes }) => bytes).sort((a, b) => a - b),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(seen.length).toBe(length);
  });
});

describe('the file that is there', () => {
  const umask = process.umask();

  it('is new: its permissions are those of the umask', async () => {
    const path = join(newFolder(), 'model.safetensors');
    await saveFile(small, path);
    expect(statSync(path).mode & 0o777).toBe(0o666 & ~umask);
  });

  it.each([0o600, 0o666, 0o640, 0o777])('is replaced: its permissions stay, %o', async (mode) => {
    const path = join(newFolder(), 'model.safetensors');
    writeFileSync(path, 'old');
    chmodSync(path, mode);
    await saveFile(small, path);
    expect(statSync(path).mode & 0o7777).toBe(mode);
  });

  it('is never there in part: whoever has it open keeps it', async () => {
    const path = join(newFolder(), 'model.safetensors');
    await saveFile(small, path);
    using file = safeOpenSync(path);
    const before = statSync(path).ino;
    await saveFile({ other: bytesOf(100) }, path);
    expect(statSync(path).ino).not.toBe(before);
    expect([...file.getTensor('a').data]).toEqual([...patternBytes(3, 2)]);
  });

  it('is where the file system says, of a path that goes up from a link', async () => {
    const folder = newFolder();
    mkdirSync(join(folder, 'elsewhere', 'deep'), { recursive: true });
    symlinkSync('elsewhere/deep', join(folder, 'jump'));
    const up = `${folder}/jump/..`;
    await saveFile(small, `${up}/one`);
    expect(readdirSync(folder).sort()).toEqual(['elsewhere', 'jump']);
    expect(readdirSync(join(folder, 'elsewhere')).sort()).toEqual(['deep', 'one']);
    for (const open of [safeOpenSync, openModel]) {
      using file = await open(`${up}/one`);
      expect([...file.keys()].sort()).toEqual(['a', 'b']);
    }
    const { index } = await saveModel({ a: bytesOf(1), b: bytesOf(2) }, up, { maxShardSize: 2 });
    expect(existsSync(join(folder, 'elsewhere', index ?? ''))).toBe(true);
    for (const path of [up, `${up}/${index}`]) {
      using model = await openModel(path);
      expect([...model.keys()]).toEqual(['a', 'b']);
      model.check();
      for (const { path: shard } of model.shards) expect(existsSync(shard)).toBe(true);
    }
    expect(readdirSync(folder).sort()).toEqual(['elsewhere', 'jump']);
  });

  it('is behind links: they are followed, and stay', async () => {
    const folder = newFolder();
    const elsewhere = join(folder, 'elsewhere');
    mkdirSync(join(elsewhere, 'deep'), { recursive: true });
    symlinkSync(join(elsewhere, 'deep'), join(folder, 'jump'));
    const links: [link: string, to: string, file: string][] = [
      ['absolute', join(elsewhere, 'one'), join(elsewhere, 'one')],
      ['relative', 'elsewhere/two', join(elsewhere, 'two')],
      ['through', 'jump/../three', join(elsewhere, 'three')],
      ['again', 'relative', join(elsewhere, 'two')],
    ];
    for (const [link, to, file] of links) {
      symlinkSync(to, join(folder, link));
      // The first time the link leads nowhere, the second time to the file.
      for (const tensors of [small, { c: bytesOf(9) }]) {
        await saveFile(tensors, join(folder, link));
        expect(readlinkSync(join(folder, link))).toBe(to);
        expect(lstatSync(file).isFile()).toBe(true);
        expect(Buffer.compare(readFileSync(file), serialize(tensors)), link).toBe(0);
      }
    }
    expectFiles(elsewhere, 'deep', 'one', 'two', 'three');
    expectFiles(folder, 'elsewhere', 'jump', ...links.map(([link]) => link));
  });
});

describe('refuses, and leaves everything as it was', () => {
  const target = (kind: string): { folder: string; path: string } => {
    const folder = newFolder();
    const path = join(folder, 'model.safetensors');
    if (kind === 'folder') mkdirSync(path);
    if (kind === 'fifo') execFileSync('mkfifo', [path]);
    if (kind === 'circle') symlinkSync(path, path);
    if (kind === 'file') writeFileSync(path, 'old');
    return { folder, path };
  };

  const places: [string, object][] = [
    ['folder', { code: 'EISDIR', syscall: 'open' }],
    ['circle', { code: 'ELOOP', syscall: 'open' }],
    ['fifo', { code: 'ERR_SAFETENSORS_NOT_SAFETENSORS', message: expect.stringMatching(/FIFO/) }],
  ];
  it.each(places)('a target that is a %s', async (kind, error) => {
    const { folder, path } = target(kind);
    expect(await thrownBy(() => saveFile(small, path))).toMatchObject({ ...error, path });
    expectFiles(folder, 'model.safetensors');
  });

  it('a path that ends as one of a folder does', async () => {
    const { folder, path } = target('file');
    for (const [name, code] of [
      ['model.safetensors/', 'ENOTDIR'],
      ['none/', 'EISDIR'],
    ]) {
      const wrong = `${folder}/${name}`;
      expect(await thrownBy(() => saveFile(small, wrong))).toMatchObject({ code, path: wrong });
    }
    expect(readFileSync(path, 'utf8')).toBe('old');
    expectFiles(folder, 'model.safetensors');
  });

  it('a device', async () => {
    const error = await thrownBy(() => saveFile(small, '/dev/null'));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_NOT_SAFETENSORS', path: '/dev/null' });
  });

  it('a folder that is not there, and no path at all', async () => {
    const path = join(newFolder(), 'none', 'model.safetensors');
    expect(await thrownBy(() => saveFile(small, path))).toMatchObject({ code: 'ENOENT', path });
    expect(await thrownBy(() => saveFile(small, ''))).toMatchObject({ code: 'ENOENT' });
    const file = join(target('file').path, 'model.safetensors');
    expect(await thrownBy(() => saveFile(small, file))).toMatchObject({ code: 'ENOTDIR' });
  });

  const failing = (function* (): Generator<[string, TensorLike]> {
    yield ['a', bytesOf(1)];
    throw new Error('no more tensors');
  })();
  const ofClosed = () => {
    const path = join(newFolder(), 'closed');
    writeFileSync(path, serialize(small));
    const file = safeOpenSync(path);
    const tensors = new Map(file);
    file.close();
    return tensors;
  };
  const inputs: [string, TensorsLike, unknown, RegExp][] = [
    ['wrong tensors', { a: { ...bytesOf(1), shape: [2] } }, {}, /expected 2 bytes/],
    ['an iterable that throws', failing, {}, /no more tensors/],
    ['tensors of a closed file', ofClosed(), {}, /has been closed/],
    ['wrong metadata', small, { metadata: { a: 1 } }, /expected a string/],
    ['no boolean', small, { fsync: 1 }, /fsync: expected a boolean/],
    ['no signal', small, { signal: {} }, /signal: expected an AbortSignal/],
    ['no function', small, { onProgress: 1 }, /onProgress: expected a function/],
    [
      'progress that throws',
      small,
      {
        onProgress: () => {
          throw new Error('no progress');
        },
      },
      /no progress/,
    ],
    ['a signal that was aborted', small, { signal: AbortSignal.abort() }, /aborted/],
  ];
  it.each(inputs)('%s', async (_, tensors, options, message) => {
    const { folder, path } = target('file');
    const error = await thrownBy(() => saveFile(tensors, path, options as SaveOptions));
    expect(error.message).toMatch(message);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expectFiles(folder, 'model.safetensors');
  });

  it('data that says that its buffer is something else', async () => {
    const { folder, path } = target('file');
    const data = Object.defineProperty(new Uint8Array(100), 'buffer', { value: [] });
    const error = await thrownBy(() => saveFile({ a: { dtype: 'U8', shape: [100], data } }, path));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/^data: expected an array over a buffer/);
    expectFiles(folder, 'model.safetensors');
  });

  it('a few bytes whose buffer is moved while they are written', async () => {
    const { folder, path } = target('file');
    const data = new Uint8Array(16);
    const before = bytesOf(64 * MEGABYTE);
    const saving = saveFile({ before, data: { dtype: 'U8', shape: [16], data } }, path);
    structuredClone(data.buffer, { transfer: [data.buffer] });
    const error = await thrownBy(() => saving);
    expect(error).toBeInstanceOf(TypeError);
    expectFiles(folder, 'model.safetensors');
  });

  it('data whose buffer is moved while it is written', async () => {
    const { folder, path } = target('file');
    const data = new Uint8Array(64 * MEGABYTE);
    const saving = saveFile({ data: { dtype: 'U8', shape: [data.length], data } }, path);
    structuredClone(data.buffer, { transfer: [data.buffer] });
    const error = await thrownBy(() => saving);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/expected 67108864 bytes until they are written, found 0/);
    expect(readFileSync(path, 'utf8')).toBe('old');
    expectFiles(folder, 'model.safetensors');
  });
});

describe('many tensors', () => {
  const COUNT = 50_000;
  const ways: [string, (tensors: TensorsLike, folder: string) => Promise<unknown>][] = [
    ['saveFile', (tensors, folder) => saveFile(tensors, join(folder, 'f'), { fsync: false })],
    ['saveModel', (tensors, folder) => saveModel(tensors, folder, { fsync: false })],
    [
      'createWriter',
      async (specs, folder) => {
        await using _ = await createWriter(join(folder, 'w'), specs, { fsync: false });
      },
    ],
  ];

  it.each(ways)('are checked while other work has its turns: %s', async (_, save) => {
    let turn = 0;
    const turns = new Set<number>();
    const data = Uint8Array.of(1);
    const tensor: TensorLike = {
      get dtype() {
        turns.add(turn);
        return 'U8' as const;
      },
      shape: [1],
      data,
    };
    const counting = setInterval(() => turn++, 0);
    const tensors = new Map(Array.from({ length: COUNT }, (_, i) => [`tensor ${i}`, tensor]));
    const saving = save(tensors, newFolder());
    // Which ones are saved is settled by now.
    tensors.clear();
    await saving;
    clearInterval(counting);
    expect(turns.size).toBeGreaterThan(1);
  });

  it('an abort ends it, and the iterable that makes them', async () => {
    const folder = newFolder();
    const controller = new AbortController();
    let ended = false;
    function* endless(): Generator<[string, TensorLike]> {
      try {
        for (let i = 0; ; i++) yield [`tensor ${i}`, small.a];
      } finally {
        ended = true;
      }
    }
    const saving = saveFile(endless(), join(folder, 'f'), controller);
    controller.abort();
    expect((await thrownBy(() => saving)).name).toBe('AbortError');
    expect(ended).toBe(true);
    expectFiles(folder);
  });
});

describe('a container that is closed while it is saved', () => {
  const ALIGNED = 26 * MEGABYTE;

  /** Its data ends with a block, and its last chunk is shorter than the others. */
  async function alignedFile() {
    const path = join(newFolder(), 'aligned.safetensors');
    await saveFile({ a: bytesOf(ALIGNED) }, path, { alignment: 4096 });
    return { path, copy: join(dirname(path), 'copy'), contents: readFileSync(path) };
  }

  /** Behind `turns` microtasks, since views of memory are made in one and written in another. */
  async function closeIn(turns: number, file: SafetensorsFile): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await null;
    file.close();
  }

  async function expectWholeOrClosed(saving: Promise<void>, copy: string, contents: Buffer) {
    const [outcome] = await Promise.allSettled([saving]);
    if (outcome.status === 'fulfilled') {
      expect(Buffer.compare(readFileSync(copy), contents)).toBe(0);
    } else expect(outcome.reason).toMatchObject({ code: 'ERR_SAFETENSORS_CLOSED' });
    rmSync(copy, { force: true });
  }

  it.each([true, false])('fails with CLOSED, or is whole; fsync: %s', async (fsync) => {
    const { path, copy, contents } = await alignedFile();
    for (let turns = 0; turns < 10; turns++) {
      for (const share of [0.2, 0.9]) {
        using file = await safeOpen(path);
        let closing: Promise<void> | undefined;
        const onProgress = ({ bytes, totalBytes }: WriteProgress) => {
          if (bytes >= share * totalBytes) closing ??= closeIn(turns, file);
        };
        const saving = saveFile(file, copy, { alignment: 4096, fsync, onProgress });
        await expectWholeOrClosed(saving, copy, contents);
        await closing;
      }
    }
  });

  it.each([true, false])('so it is with a writer; fsync: %s', async (fsync) => {
    const { path, copy, contents } = await alignedFile();
    for (let turns = 0; turns < 10; turns++) {
      const file = await safeOpen(path);
      await using writer = await createWriter(copy, file, { alignment: 4096, fsync });
      const writing = writer.write('a', file.getTensor('a'));
      await closeIn(turns, file);
      const finishing = writing.then(() => writer.finish());
      await expectWholeOrClosed(finishing, copy, contents);
    }
  });
});

describe('the working directory', () => {
  it('is that of the call', async () => {
    const [here, elsewhere] = [newFolder(), newFolder()];
    const before = process.cwd();
    const meanwhile = async <T>(work: () => Promise<T>): Promise<T> => {
      process.chdir(here);
      try {
        const working = work();
        process.chdir(elsewhere);
        return await working;
      } finally {
        process.chdir(before);
      }
    };
    await meanwhile(() => saveFile(small, 'saved'));
    const writer = await meanwhile(() =>
      createWriter('written', { a: { dtype: 'U8', shape: [0] } }),
    );
    await writer.finish();
    await meanwhile(() => saveModel(small, 'model'));
    // More than the header has room for: the file is copied.
    await meanwhile(() => updateMetadata('saved', { a: 'b'.repeat(10_000) }));
    expectFiles(here, 'model', 'saved', 'written');
    expectFiles(elsewhere);
  });
});

it('an error of a callback’s own is not said to be of the file', async () => {
  const folder = newFolder();
  const log = join(folder, 'none', 'progress.log');
  const onProgress = () => writeFileSync(log, '');
  const path = join(folder, 'saved');
  await expect(saveFile(small, path, { onProgress })).rejects.toMatchObject({ path: log });
  await saveFile(small, path);
  const changes = { a: 'b'.repeat(10_000) };
  await expect(updateMetadata(path, changes, { onProgress })).rejects.toMatchObject({ path: log });
  await using writer = await createWriter(path, { a: { dtype: 'U8', shape: [MEGABYTE] } });
  expectFiles(folder, 'saved', ...temporaries(folder));
  await writer.discard();
  expectFiles(folder, 'saved');
});

it('nothing is left behind where the addon cannot be loaded', async () => {
  const folder = newFolder();
  const { code, stdout } = await runChild('save-without-addon', [join(folder, 'model')], {
    nodeFlags: ['--no-addons'],
  });
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({
    refused: expect.stringContaining('has no native addon that loads'),
    open: [],
  });
  expectFiles(folder);
});

describe('abort', () => {
  const large = {
    data: { dtype: 'U8', shape: [256 * MEGABYTE], data: new Uint8Array(256 * MEGABYTE) },
  } as const;

  it.each(['at once', 'at the first progress', 'when all is written'])(
    'ends the writing soon, and leaves nothing behind: %s',
    async (when) => {
      const folder = newFolder();
      const path = join(folder, 'model.safetensors');
      writeFileSync(path, 'old');
      const controller = new AbortController();
      const reason = new Error('enough');
      let abortedAt = 0;
      let after = 0;
      const abort = () => {
        abortedAt = performance.now();
        controller.abort(reason);
      };
      const onProgress = ({ bytes, totalBytes }: WriteProgress) => {
        if (abortedAt > 0) after++;
        else if (when === 'at the first progress' || bytes === totalBytes) setImmediate(abort);
      };
      const saving = saveFile(large, path, { signal: controller.signal, onProgress });
      if (when === 'at once') abort();
      expect(await thrownBy(() => saving)).toBe(reason);
      // Far less than the fsync of 256 MB takes; no more precise on a busy machine.
      expect(performance.now() - abortedAt).toBeLessThan(500);
      expect(after).toBe(0);
      expect(readFileSync(path, 'utf8')).toBe('old');
      expectFiles(folder, 'model.safetensors');
    },
  );

  it('after the end changes nothing', async () => {
    const path = join(newFolder(), 'model.safetensors');
    const controller = new AbortController();
    await saveFile(small, path, { signal: controller.signal });
    controller.abort();
    expect(existsSync(path)).toBe(true);
  });
});
