import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import {
  openModel,
  type SaveModelOptions,
  safeOpenSync,
  saveModel,
  serialize,
  type TensorLike,
  type WriteProgress,
} from '../src/index.ts';
import { patternBytes } from './support/build.ts';
import { runChild } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { INDEX, indexOf, shardName } from './support/models.ts';
import { rounds, STRIDE } from './support/rounds.ts';
import { temporaryFolder } from './support/temporary.ts';

const SINGLE = 'model.safetensors';

const root = temporaryFolder();
let folders = 0;
const newFolder = () => join(root, `model-${folders++}`);

function bytesOf(length: number, seed = 1): TensorLike {
  return { dtype: 'U8', shape: [length], data: patternBytes(length, seed) };
}

/** `count` tensors of 100 bytes. */
function hundreds(count: number, seed = 1): Map<string, TensorLike> {
  return new Map(Array.from({ length: count }, (_, i) => [`t${i}`, bytesOf(100, seed + i)]));
}

const shardNames = (count: number) =>
  Array.from({ length: count }, (_, i) => shardName(i + 1, count));

function expectFiles(folder: string, ...names: string[]): void {
  expect(readdirSync(folder).sort()).toEqual([...names].sort());
}

async function expectModel(folder: string, tensors: Map<string, TensorLike>): Promise<void> {
  using model = await openModel(folder);
  expect(model.keys()).toEqual([...tensors.keys()]);
  for (const [name, { data }] of tensors) {
    expect(Buffer.compare(model.getTensor(name).bytes, data as Uint8Array), name).toBe(0);
  }
}

const noSync = (options: SaveModelOptions = {}) => ({ fsync: false, ...options });

describe('saveModel', () => {
  it('writes one file where that is enough', async () => {
    const folder = newFolder();
    const tensors = hundreds(3);
    for (const path of [folder, pathToFileURL(folder)]) {
      const saved = await saveModel(tensors, path, { metadata: { format: 'pt' } });
      expect(saved).toEqual({ files: [SINGLE] });
      expectFiles(folder, SINGLE);
      await expectModel(folder, tensors);
    }
    using model = await openModel(folder);
    expect({ ...model.metadata }).toEqual({ format: 'pt' });
  });

  it('writes shards and an index where it is not', async () => {
    const folder = newFolder();
    const tensors = hundreds(5).set('large', bytesOf(1000)).set('empty', bytesOf(0));
    const saved = await saveModel(tensors, folder, {
      maxShardSize: '0.25KB',
      metadata: { format: 'pt', b: 'ä' },
    });
    const names = shardNames(4);
    expect(saved).toEqual({ files: names, index: INDEX });
    expectFiles(folder, INDEX, ...names);
    const index = readFileSync(join(folder, INDEX), 'utf8');
    expect(JSON.parse(index)).toEqual({
      metadata: { total_size: 1500, format: 'pt', b: 'ä' },
      weight_map: {
        t0: names[0],
        t1: names[0],
        t2: names[1],
        t3: names[1],
        large: names[2],
        t4: names[3],
        empty: names[3],
      },
    });
    expect(index).toContain('"b": "\\u00e4"');
    using model = await openModel(folder);
    expect({ ...model.metadata }).toEqual({ format: 'pt', b: 'ä' });
    expect(model.shardOf('large').path).toBe(join(folder, names[2]));
    using shard = safeOpenSync(join(folder, names[0]));
    expect(shard.keys()).toEqual(['t0', 't1']);
    expect({ ...shard.metadata }).toEqual({ format: 'pt', b: 'ä' });
  });

  it('writes a model of nothing', async () => {
    const folder = newFolder();
    await saveModel({}, folder, noSync());
    await expectModel(folder, new Map());
  });

  it.each([
    ['sharded', 100, 'sharded otherwise', 200],
    ['sharded', 100, 'sharded alike', 100],
    ['sharded', 100, 'single', 10_000],
    ['single', 10_000, 'sharded', 200],
    ['single', 10_000, 'single', 10_000],
  ])('replaces a model: %s (%i) by %s (%i)', async (_, limitBefore, __, limit) => {
    const folder = newFolder();
    await saveModel(hundreds(6), folder, noSync({ maxShardSize: limitBefore }));
    const strangers = [
      'config.json',
      'model-1-of-2.safetensors',
      'xmodel-00001-of-00002.safetensors',
    ];
    for (const name of strangers) writeFileSync(join(folder, name), 'not ours');
    const tensors = hundreds(6, 7);
    const { files, index } = await saveModel(tensors, folder, { maxShardSize: limit });
    expectFiles(folder, ...strangers, ...files, ...(index === undefined ? [] : [index]));
    await expectModel(folder, tensors);
    for (const name of strangers) expect(readFileSync(join(folder, name), 'utf8')).toBe('not ours');
  });

  it.each([
    [200, 200],
    [200, 10_000],
    [10_000, 200],
    [10_000, 10_000],
  ])('over the very model that is open, %i by %i', async (limitBefore, limit) => {
    const folder = newFolder();
    const tensors = hundreds(6);
    await saveModel(tensors, folder, noSync({ maxShardSize: limitBefore }));
    using open = await openModel(folder);
    const before = Buffer.from(open.getTensor('t3').bytes);
    await saveModel(open, folder, noSync({ maxShardSize: limit }));
    await expectModel(folder, tensors);
    expect(before.equals(open.getTensor('t3').bytes)).toBe(true);
    expect((await thrownBy(() => open.check())).code).toBe('ERR_SAFETENSORS_FILE_CHANGED');
  });

  it('puts the names of folders that it makes on the disk', async () => {
    const parent = newFolder();
    mkdirSync(parent);
    const probe = await open(parent);
    const sync = vi.spyOn(Object.getPrototypeOf(probe), 'sync');
    const syncsOf = async (folder: string, fsync = true) => {
      sync.mockClear();
      await saveModel(hundreds(6), folder, { fsync });
      return sync.mock.calls.length;
    };
    try {
      const there = await syncsOf(parent);
      expect(there).toBeGreaterThan(1);
      expect(await syncsOf(join(parent, 'a', 'b', 'c'))).toBe(there + 3);
      expect(await syncsOf(join(parent, 'd'), false)).toBe(0);
    } finally {
      sync.mockRestore();
      await probe.close();
    }
  });

  it('tells of its progress over all shards', async () => {
    const folder = newFolder();
    const told: WriteProgress[] = [];
    let settled = false;
    const { files } = await saveModel(hundreds(6), folder, {
      maxShardSize: 200,
      onProgress: (progress) => {
        expect(settled).toBe(false);
        told.push(progress);
      },
    });
    settled = true;
    await sleep(20);
    const total = files.reduce((sum, name) => sum + readFileSync(join(folder, name)).length, 0);
    expect(files.length).toBe(3);
    expect(told.at(-1)).toEqual({ bytes: total, totalBytes: total });
    for (const [i, { bytes, totalBytes }] of told.entries()) {
      expect(totalBytes).toBe(total);
      expect(bytes).toBeGreaterThan(told[i - 1]?.bytes ?? 0);
    }
  });
});

it('replaces a model in a folder that is named with a slash at its end', async () => {
  const folder = newFolder();
  for (const seed of [1, 2]) {
    const model = hundreds(6, seed);
    await saveModel(model, `${folder}/`, noSync({ maxShardSize: 200 }));
    await expectModel(folder, model);
  }
});

describe('names that are links', () => {
  const model = hundreds(6, 3);
  const shards = shardNames(3);

  async function saved(folder: string): Promise<void> {
    await saveModel(model, folder, noSync({ maxShardSize: 200 }));
    await expectModel(folder, model);
  }

  it.each([
    ['to one file elsewhere', [0, 1], '../shared'],
    ['to one file that is not there yet', [0, 2], '../none'],
    ['to another of the names', [0, 2], shards[1]],
    ['to a shard of the earlier model', [1], shardName(2, 9)],
    ['to the index', [2], INDEX],
  ])('%s are replaced', async (_, links, target) => {
    const folder = join(newFolder(), 'model');
    await saveModel(hundreds(9), folder, noSync({ maxShardSize: 100 }));
    writeFileSync(join(folder, '../shared'), 'elsewhere');
    writeFileSync(join(folder, shards[1]), 'old');
    for (const link of links) {
      rmSync(join(folder, shards[link]), { force: true });
      symlinkSync(target, join(folder, shards[link]));
    }
    await saved(folder);
    expectFiles(folder, INDEX, ...shards);
    for (const link of links) expect(lstatSync(join(folder, shards[link])).isFile()).toBe(true);
    expect(readFileSync(join(folder, '../shared'), 'utf8')).toBe('elsewhere');
  });

  it.each([
    ['followed by an index', 200, true],
    ['replaced where there is none any more', 10_000, false],
  ])('an index that is one is %s', async (_, maxShardSize, isFollowed) => {
    const folder = newFolder();
    await saveModel(hundreds(6), folder, noSync({ maxShardSize: 200 }));
    const elsewhere = `${folder}.json`;
    // It names what a single file is called, so that it has to give way first.
    const before = readFileSync(join(folder, INDEX), 'utf8').replaceAll(shards[0], SINGLE);
    writeFileSync(elsewhere, before);
    rmSync(join(folder, INDEX));
    symlinkSync(elsewhere, join(folder, INDEX));
    await saveModel(model, folder, noSync({ maxShardSize }));
    await expectModel(folder, model);
    expect(readFileSync(elsewhere, 'utf8') === before).toBe(!isFollowed);
    if (isFollowed) expect(readlinkSync(join(folder, INDEX))).toBe(elsewhere);
    else expectFiles(folder, SINGLE);
  });

  it('to files of their own are followed', async () => {
    const folder = join(newFolder(), 'model');
    mkdirSync(folder, { recursive: true });
    for (const shard of shards) symlinkSync(`../${shard}`, join(folder, shard));
    await saved(folder);
    for (const shard of shards) {
      expect(readlinkSync(join(folder, shard))).toBe(`../${shard}`);
      expect(existsSync(join(folder, '..', shard))).toBe(true);
    }
  });
});

describe('a saving that fails leaves the earlier model whole, and nothing else', () => {
  const earlier = hundreds(6);

  async function expectUntouched(
    fail: (folder: string) => Promise<unknown>,
    expected: object,
  ): Promise<void> {
    const folder = newFolder();
    await saveModel(earlier, folder, noSync({ maxShardSize: 200 }));
    expect(await thrownBy(() => fail(folder))).toMatchObject(expected);
    expectFiles(folder, INDEX, ...shardNames(3));
    await expectModel(folder, earlier);
  }

  it('aborted, before and while it writes', async () => {
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    await expectUntouched((folder) => saveModel(hundreds(6, 3), folder, { signal }), reason);
    for (const part of [0.1, 0.5, 0.9, 1]) {
      const controller = new AbortController();
      const onProgress = ({ bytes, totalBytes }: WriteProgress) => {
        if (bytes >= part * totalBytes) controller.abort(reason);
      };
      await expectUntouched(
        (folder) =>
          saveModel(hundreds(6, 3), folder, {
            maxShardSize: 100,
            onProgress,
            signal: controller.signal,
          }),
        reason,
      );
    }
  });

  it('by an exception of onProgress', async () => {
    let calls = 0;
    await expectUntouched(
      (folder) =>
        saveModel(hundreds(6, 3), folder, {
          maxShardSize: 100,
          onProgress: () => {
            if (++calls === 4) throw new Error('no more');
          },
        }),
      { message: 'no more' },
    );
  });

  it('closed while it is being saved', async () => {
    const source = newFolder();
    await saveModel(hundreds(6, 3), source, noSync());
    const model = await openModel(source);
    await expectUntouched(
      (folder) => saveModel(model, folder, { maxShardSize: 100, onProgress: () => model.close() }),
      { code: 'ERR_SAFETENSORS_CLOSED' },
    );
  });

  it('the first shard cannot take its place: the earlier index comes back', async () => {
    const folder = newFolder();
    await saveModel(earlier, folder, noSync({ maxShardSize: 100 }));
    const [first] = shardNames(6);
    const index = readFileSync(join(folder, INDEX));
    const kept = join(root, 'kept');
    const onProgress = ({ bytes, totalBytes }: WriteProgress) => {
      if (bytes < totalBytes) return;
      renameSync(join(folder, first), kept);
      mkdirSync(join(folder, first));
    };
    const error = await thrownBy(() =>
      saveModel(earlier, folder, noSync({ maxShardSize: 100, onProgress })),
    );
    expect(error.code).toBe('EISDIR');
    expect(Buffer.compare(readFileSync(join(folder, INDEX)), index)).toBe(0);
    rmdirSync(join(folder, first));
    renameSync(kept, join(folder, first));
    await expectModel(folder, earlier);
  });

  it('a shard’s name is taken by a folder', async () => {
    const folder = newFolder();
    await saveModel(earlier, folder, noSync({ maxShardSize: 200 }));
    const taken = shardName(3, 6);
    mkdirSync(join(folder, taken));
    const error = await thrownBy(() => saveModel(earlier, folder, { maxShardSize: 100 }));
    expect(error).toMatchObject({ code: 'EISDIR', path: join(folder, taken) });
    expectFiles(folder, INDEX, taken, ...shardNames(3));
    await expectModel(folder, earlier);
  });

  it('a shard, which is named as the folder is', async () => {
    const folder = newFolder();
    const taken = shardName(3, 6);
    mkdirSync(join(folder, taken), { recursive: true });
    const named = relative('.', folder);
    const error = await thrownBy(() => saveModel(earlier, named, { maxShardSize: 100 }));
    expect(error).toMatchObject({ code: 'EISDIR', path: join(named, taken) });
    expectFiles(folder, taken);
    rmdirSync(join(folder, taken));
    execFileSync('mkfifo', [join(folder, taken)]);
    const refused = await thrownBy(() => saveModel(earlier, named, { maxShardSize: 100 }));
    expect(refused).toMatchObject({
      code: 'ERR_SAFETENSORS_NOT_SAFETENSORS',
      path: join(named, taken),
    });
  });

  it('the index’s name is taken by a folder', async () => {
    const folder = newFolder();
    mkdirSync(join(folder, 'model.safetensors.index.json'), { recursive: true });
    const path = join(folder, 'model.safetensors');
    writeFileSync(path, 'old');
    const data = new Uint8Array(1);
    const error = await thrownBy(() => saveModel({ a: { dtype: 'U8', shape: [1], data } }, folder));
    expect(error.code).toBe('EISDIR');
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder).sort()).toEqual([
      'model.safetensors',
      'model.safetensors.index.json',
    ]);
  });

  it('input that no file can hold', async () => {
    for (const tensors of [{ a: { ...bytesOf(1), shape: [2] } }, { __metadata__: bytesOf(1) }]) {
      await expectUntouched((folder) => saveModel(tensors, folder), { name: 'RangeError' });
    }
    for (const options of [
      { maxShardSize: '5' },
      { maxShardSize: 0 },
      { metadata: { a: 1 } },
      { fsync: 'yes' },
    ]) {
      const error = (folder: string) =>
        saveModel(earlier, folder, options as unknown as SaveModelOptions);
      await expectUntouched(error, { name: expect.stringMatching(/^(Type|Range)Error$/) });
    }
  });

  it('a folder that cannot be made, or is a file', async () => {
    const file = newFolder();
    writeFileSync(file, 'x');
    const below = join(file, 'x');
    // As the caller names them.
    for (const [path, code] of [
      [file, 'EEXIST'],
      [relative('.', file), 'EEXIST'],
      [below, 'ENOTDIR'],
    ]) {
      expect(await thrownBy(() => saveModel(earlier, path))).toMatchObject({ code, path });
    }
    const fresh = newFolder();
    const signal = new AbortController();
    const failing = saveModel(earlier, join(fresh, 'in', 'another'), {
      signal: signal.signal,
      onProgress: () => signal.abort(),
    });
    expect((await thrownBy(() => failing)).name).toBe('AbortError');
    expect(existsSync(fresh)).toBe(false);
  });
});

/** Which generation a folder's model is of, all of it; undefined when it refuses to open. */
async function generationOf(folder: string): Promise<number | undefined> {
  let model: Awaited<ReturnType<typeof openModel>>;
  try {
    model = await openModel(folder);
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toMatch(/^ERR_SAFETENSORS_SHARD_MISSING$/);
    return undefined;
  }
  using opened = model;
  const said = [...opened].map(([, tensor]) => [...(tensor.data as Uint32Array)].join());
  expect(new Set(said).size, said.join(' ')).toBe(1);
  const [generation, tensors] = said[0].split(',').map(Number);
  expect(opened.size).toBe(tensors);
  return generation;
}

/** In processes of their own, which are killed. */
describe('a crash leaves the earlier model, the new one, or none', () => {
  const [EARLIER, NEW] = [1, 2];
  /** Bytes of tensors a shard; each tensor has 8. */
  const SINGLE_LIMIT = 1000;
  const SHARD_LIMIT = 8;

  const save = (folder: string, generation: number, tensors: number, limit: number, step = 0) =>
    runChild('save-model', ['once', folder, ...[generation, tensors, limit, step].map(String)]);

  /** Makes an earlier model out of what is in a folder. */
  type Prepare = (folder: string) => void;
  const asIs: Prepare = () => {};
  const besideOthers: Prepare = (folder) => {
    // What would be found next, if the index alone were gone.
    for (const name of [SINGLE, 'consolidated.safetensors']) {
      copyFileSync(join(folder, shardName(1, 3)), join(folder, name));
    }
  };
  /** The first of three shards is called as a single file is. */
  const firstIsSingle: Prepare = (folder) => {
    copyFileSync(join(folder, shardName(1, 3)), join(folder, SINGLE));
    rmSync(join(folder, shardName(1, 3)));
    const map = [SINGLE, shardName(2, 3), shardName(3, 3)].map(
      (name, i) => [`tensor ${i}`, name] as const,
    );
    writeFileSync(join(folder, INDEX), indexOf(map));
  };

  /** One shard is called as a single file is, the other by a name that no save replaces. */
  const otherIsForeign: Prepare = (folder) => {
    firstIsSingle(folder);
    const foreign = 'extra.safetensors';
    const rest = serialize(
      [1, 2].map((i) => {
        using shard = safeOpenSync(join(folder, shardName(i + 1, 3)));
        const { dtype, shape, data } = shard.getTensor(`tensor ${i}`);
        return [`tensor ${i}`, { dtype, shape, data: data.slice() }] as const;
      }),
    );
    writeFileSync(join(folder, foreign), rest);
    for (const i of [2, 3]) rmSync(join(folder, shardName(i, 3)));
    const map = [SINGLE, foreign, foreign].map((name, i) => [`tensor ${i}`, name] as const);
    writeFileSync(join(folder, INDEX), indexOf(map));
  };

  const changes: [string, number, Prepare, number, number][] = [
    ['single by single', SINGLE_LIMIT, asIs, 3, SINGLE_LIMIT],
    ['single by sharded', SINGLE_LIMIT, asIs, 3, SHARD_LIMIT],
    ['sharded by single', SHARD_LIMIT, asIs, 3, SINGLE_LIMIT],
    ['sharded by as many shards', SHARD_LIMIT, asIs, 3, SHARD_LIMIT],
    ['sharded by more shards', SHARD_LIMIT, asIs, 4, SHARD_LIMIT],
    ['sharded, beside other files, by single', SHARD_LIMIT, besideOthers, 3, SINGLE_LIMIT],
    ['sharded, beside other files, by as many', SHARD_LIMIT, besideOthers, 3, SHARD_LIMIT],
    [
      'sharded, the first called as a single file, by single',
      SHARD_LIMIT,
      firstIsSingle,
      3,
      SINGLE_LIMIT,
    ],
    ['of a single file and a foreign one, by single', SHARD_LIMIT, otherIsForeign, 3, SINGLE_LIMIT],
    ['of a single file and a foreign one, by shards', SHARD_LIMIT, otherIsForeign, 3, SHARD_LIMIT],
  ];
  it.each(changes)(
    'before each step: %s',
    async (_, limitBefore, prepare, tensors, limit) => {
      const start = newFolder();
      await save(start, EARLIER, 3, limitBefore);
      prepare(start);
      expect(await generationOf(start)).toBe(EARLIER);
      const outcomes: (number | undefined)[] = [];
      for (let step = 1; ; step += STRIDE) {
        const folder = newFolder();
        cpSync(start, folder, { recursive: true });
        const { code, signal, stdout } = await save(folder, NEW, tensors, limit, step);
        outcomes.push(await generationOf(folder));
        if (code === 0) {
          expect(Number(stdout)).toBeLessThan(step);
          expect(Number(stdout)).toBeGreaterThanOrEqual(step - STRIDE);
          expect(readdirSync(folder).filter((name) => name.startsWith('.'))).toEqual([]);
          break;
        }
        expect(signal).toBe('SIGKILL');
        // What a crash leaves behind is no obstacle.
        if (outcomes.at(-1) === undefined) {
          expect((await save(folder, NEW, tensors, limit)).code).toBe(0);
          expect(await generationOf(folder)).toBe(NEW);
        }
      }
      expect(outcomes[0]).toBe(EARLIER);
      expect(outcomes.at(-1)).toBe(NEW);
      expect(outcomes.length).toBeGreaterThan(4 / STRIDE);
      // The earlier one up to some step, perhaps none, then the new one.
      const order = outcomes.map((outcome) => [EARLIER, undefined, NEW].indexOf(outcome));
      expect(order).toEqual(order.toSorted());
    },
    120_000,
  );

  it('at moments of chance', async () => {
    const folder = newFolder();
    const script = fileURLToPath(new URL('../out/test/children/save-model.js', import.meta.url));
    const counts = { opened: 0, refused: 0 };
    let generation = 1;
    // More of them where the disk is slow, and no save has come to its end in time.
    for (let round = 0; round < rounds(40) || counts.opened === 0; round++) {
      expect(round).toBeLessThan(400);
      const child = spawn(process.execPath, [script, 'forever', folder, String(generation)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      await once(child.stdout, 'data');
      await sleep(Math.random() * (60 + round));
      child.kill('SIGKILL');
      await once(child, 'close');
      if (!existsSync(folder) || readdirSync(folder).every((name) => name.startsWith('.')))
        continue;
      const found = await generationOf(folder);
      if (found === undefined) {
        counts.refused++;
      } else {
        counts.opened++;
        expect(found).toBeGreaterThanOrEqual(generation - 1);
        generation = found + 1;
      }
    }
    expect(counts.opened).toBeGreaterThan(0);
  }, 120_000);
});
