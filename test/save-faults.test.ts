import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, type TestContext, vi } from 'vitest';
import {
  createWriter,
  safeOpenSync,
  saveFile,
  saveModel,
  serialize,
  type TensorLike,
  updateMetadata,
} from '../src/index.ts';
import { native } from '../src/native.ts';
import type { Holdings } from './children/support/process.ts';
import { patternBytes } from './support/build.ts';
import {
  beginningChild,
  childCommand,
  childReport,
  runChild,
  runCommand,
} from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { rounds } from './support/rounds.ts';
import { temporaryFolder } from './support/temporary.ts';

const root = temporaryFolder();

function newFolder(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  return folder;
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function temporaries(folder: string): string[] {
  return readdirSync(folder).filter((name) => /^\.safetensors-mmap-.*\.tmp$/.test(name));
}

describe('kill −9', () => {
  const KILLS = rounds(200);
  const AT_ONCE = 4;
  /** So many of them in the middle of writing: more are killed until there were. */
  const CAUGHT = KILLS / 4;

  const saver = (path: string) =>
    beginningChild('save-rounds', [path, '1000000', 'fsync', '1', '2']);

  it(`${KILLS} times while a model is saved over another leaves the one or the other`, async () => {
    const contents = new Map<string, number>();
    let caught = 0;
    const lane = async (number: number) => {
      const folder = newFolder(`killed-${number}`);
      const path = join(folder, 'model.safetensors');
      expect((await runChild('save-rounds', [path, '1', 'fsync', '1'])).code).toBe(0);
      let saveMs = 20;
      for (let i = 0; i < KILLS / AT_ONCE || (caught < CAUGHT && i < KILLS); i++) {
        const child = await saver(path);
        // Behind none, one or two of its saves, for both models to be found; then somewhere in the next.
        const begun = performance.now();
        for (let saved = 0; saved < i % 3; saved++) await once(child.stdout, 'data');
        if (i % 3 > 0) saveMs = (performance.now() - begun) / (i % 3);
        await sleep(Math.random() * saveMs);
        child.kill('SIGKILL');
        const [, signal] = await once(child, 'close');
        expect(signal).toBe('SIGKILL');
        const hash = sha256(readFileSync(path));
        contents.set(hash, (contents.get(hash) ?? 0) + 1);
        // What a killed process cannot remove: at most the one file that it was writing.
        const left = temporaries(folder);
        expect(left.length).toBeLessThanOrEqual(1);
        caught += left.length;
        for (const name of left) rmSync(join(folder, name));
        expect(readdirSync(folder)).toEqual(['model.safetensors']);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => lane(number)));

    const folder = newFolder('whole');
    const whole: string[] = [];
    for (const seed of ['1', '2']) {
      const path = join(folder, seed);
      expect((await runChild('save-rounds', [path, '1', 'fsync', seed])).code).toBe(0);
      whole.push(sha256(readFileSync(path)));
    }
    expect([...contents.keys()].sort()).toEqual(whole.sort());
    expect(caught).toBeGreaterThanOrEqual(CAUGHT);
  }, 300_000);
});

it('two processes that save to the same path: one of them wins, whole', async () => {
  const folder = newFolder('two');
  const path = join(folder, 'model.safetensors');
  const savers = ['1', '2'].map((seed) => runChild('save-rounds', [path, '20', 'no', seed]));
  const done = Promise.all(savers);
  let running = true;
  void done.finally(() => {
    running = false;
  });
  const seen = new Set<number>();
  while (running) {
    await sleep(5);
    if (!readdirSync(folder).includes('model.safetensors')) continue;
    using file = safeOpenSync(path);
    const firsts = [0, 1, 2, 3].map((i) => Number(file.getTensor(`large.${i}`).data.at(-1)));
    expect(firsts).toEqual([0, 1, 2, 3].map((i) => firsts[0] + i));
    seen.add(firsts[0]);
  }
  for (const { code, stderr } of await done)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(seen.size).toBeGreaterThan(0);
  expect([...seen].every((seed) => seed === 1 || seed === 2)).toBe(true);
  expect(readdirSync(folder)).toEqual(['model.safetensors']);
});

interface Refusal {
  failure?: { code: string; syscall?: string; path?: string; tensor?: string; message: string };
  whole: boolean;
  files: string[];
}

const asRoot = process.getuid?.() === 0;

/** Mounts need root, and a kernel that lets it: says why not, and skips. */
function needsMounts({ skip }: TestContext): void {
  const probe = 'mount -t tmpfs none "$1"';
  const result = spawnSync('unshare', ['-m', 'sh', '-c', probe, 'sh', newFolder('probe')]);
  rmSync(join(root, 'probe'), { recursive: true });
  if (result.status === 0) return;
  const reason = result.error?.message ?? result.stderr.toString().trim();
  console.warn(`LEFT OUT: a test of test/save-faults.test.ts. unshare -m, mount: ${reason}`);
  skip(reason);
}

/** Runs a child where a script has mounted something at `folder` that nobody else sees. */
async function inMount(script: string, folder: string, child: string, args: readonly string[]) {
  const [command, childArgs] = childCommand(child, args);
  const shell = ['-m', 'sh', '-ec', `${script}; exec "$@"`, 'sh', command, ...childArgs];
  const { code, stdout, stderr } = await runCommand('unshare', shell, {
    env: { ...process.env, FOLDER: folder },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Refusal;
}

describe('where nothing can be written', () => {
  it('on a full disk, the old file is whole and nothing is left', async (context) => {
    needsMounts(context);
    const folder = newFolder('full');
    const mount = 'mount -t tmpfs -o size=8m none "$FOLDER"';
    const { failure, whole, files } = await inMount(mount, folder, 'save-refused', [
      'full',
      folder,
    ]);
    expect(failure).toMatchObject({ code: 'ENOSPC', path: join(folder, 'model.safetensors') });
    expect({ whole, files }).toEqual({ whole: true, files: ['model.safetensors'] });
  });

  it('on a read-only disk', async (context) => {
    needsMounts(context);
    const folder = newFolder('read-only');
    writeFileSync(join(folder, 'model.safetensors'), 'old');
    const mount = 'mount --bind "$FOLDER" "$FOLDER"; mount -o remount,bind,ro "$FOLDER"';
    const { failure, whole, files } = await inMount(mount, folder, 'save-refused', [
      'read-only',
      folder,
    ]);
    expect(failure).toMatchObject({ code: 'EROFS', path: join(folder, 'model.safetensors') });
    expect({ whole, files }).toEqual({ whole: true, files: ['model.safetensors'] });
  });

  it('in a read-only folder', async () => {
    const folder = newFolder('no-access');
    writeFileSync(join(folder, 'model.safetensors'), 'old');
    chmodSync(root, 0o755);
    chmodSync(folder, 0o555);
    const mode = asRoot ? 'as-nobody' : 'read-only';
    const { failure, whole, files } = await childReport<Refusal>('save-refused', [mode, folder]);
    chmodSync(folder, 0o755);
    expect(failure).toMatchObject({
      code: 'EACCES',
      syscall: 'open',
      path: join(folder, 'model.safetensors'),
    });
    expect({ whole, files }).toEqual({ whole: true, files: ['model.safetensors'] });
  });
});

/** Whether the disk is written to past the page cache, of which tests say what is left out otherwise. */
const writesDirectly = await (async () => {
  const path = join(newFolder('direct'), 'probe');
  const handle = await open(path, 'w');
  const direct = native().openDirect(path, handle.fd);
  if (direct === undefined) {
    console.warn('LEFT OUT: writing past the page cache: the file system does not do that');
  } else {
    native().closeDirect(direct);
  }
  await handle.close();
  return direct !== undefined;
})();

/** What a disk does that breaks: no such disk can be had, so that the calls are made to fail. */
describe('EIO', () => {
  const tensors: Record<string, TensorLike> = {
    large: { dtype: 'U8', shape: [2 ** 25], data: new Uint8Array(2 ** 25) },
    a: { dtype: 'U8', shape: [3], data: new Uint8Array(3) },
    b: { dtype: 'U8', shape: [5], data: new Uint8Array(5) },
  };
  const ways: Record<string, (path: string, fsync: boolean) => Promise<unknown>> = {
    saveFile: (path, fsync) => saveFile(tensors, path, { fsync }),
    saveModel: (path, fsync) => saveModel(tensors, dirname(path), { maxShardSize: '1TB', fsync }),
    createWriter: async (path, fsync) => {
      const writer = await createWriter(path, tensors, { fsync });
      for (const [name, { data }] of Object.entries(tensors)) await writer.write(name, data);
      await writer.finish();
    },
  };
  const cases = Object.keys(ways).flatMap((way) =>
    (['write', 'writev', 'sync'] as const)
      // What a writer writes is never together with anything else.
      .filter((call) => way !== 'createWriter' || call !== 'writev')
      .map((call) => [way, call] as const),
  );

  it.each(cases)('%s: of %s, the old file is whole and nothing is left', async (way, call) => {
    const folder = newFolder(`eio-${way}-${call}`);
    const path = join(folder, 'model.safetensors');
    writeFileSync(path, 'old');
    const probe = await open(path);
    const failing = vi.spyOn(Object.getPrototypeOf(probe), call);
    await probe.close();
    const syscall = call === 'sync' ? 'fsync' : call;
    failing.mockImplementation(async () => {
      throw Object.assign(new Error('EIO'), { code: 'EIO', errno: -constants.errno.EIO, syscall });
    });
    try {
      // What is to be on the disk is not written by these calls, but for what is less than a block.
      const error = await thrownBy(() => ways[way](path, call === 'sync'));
      expect(failing).toHaveBeenCalled();
      expect(error).toMatchObject({ code: 'EIO', syscall, path });
    } finally {
      failing.mockRestore();
    }
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  const failDirect = (how: () => Promise<boolean>) =>
    vi.spyOn(native(), 'writeDirect').mockImplementation(how);

  it.skipIf(!writesDirectly)(
    'past the page cache, the old file is whole and nothing is left',
    async () => {
      for (const [way, save] of Object.entries(ways)) {
        const folder = newFolder(`eio-${way}-direct`);
        const path = join(folder, 'model.safetensors');
        writeFileSync(path, 'old');
        const failing = failDirect(async () => {
          throw Object.assign(new Error('write'), {
            errno: -constants.errno.EIO,
            syscall: 'write',
          });
        });
        try {
          const error = await thrownBy(() => save(path, true));
          expect(failing).toHaveBeenCalled();
          expect(error).toMatchObject({ code: 'EIO', syscall: 'write', path });
        } finally {
          failing.mockRestore();
        }
        expect(readFileSync(path, 'utf8')).toBe('old');
        expect(readdirSync(folder)).toEqual(['model.safetensors']);
      }
    },
  );

  it.skipIf(!writesDirectly)('where the page cache cannot be passed by, it is not', async () => {
    for (const [way, save] of Object.entries(ways)) {
      const path = join(newFolder(`${way}-as-usual`), 'model.safetensors');
      const refusing = failDirect(async () => false);
      try {
        await save(path, true);
        expect(refusing).toHaveBeenCalled();
      } finally {
        refusing.mockRestore();
      }
      expect(readFileSync(path).equals(serialize(tensors))).toBe(true);
    }
  });

  it.each([...Object.keys(ways), 'updateMetadata'])(
    '%s: of the fsync of the folder, the new file is in place, and the error is the folder’s',
    async (way) => {
      const folder = newFolder(`eio-${way}-folder`);
      const path = join(folder, 'model.safetensors');
      writeFileSync(path, serialize({}));
      const probe = await open(path);
      const sync = vi.spyOn(Object.getPrototypeOf(probe), 'sync');
      await probe.close();
      sync.mockImplementation(async function (this: FileHandle) {
        if ((await this.stat()).isFile()) return;
        throw Object.assign(new Error('EIO'), {
          code: 'EIO',
          errno: -constants.errno.EIO,
          syscall: 'fsync',
        });
      });
      try {
        const save = ways[way] ?? ((path: string) => updateMetadata(path, { a: 'b' }));
        const error = await thrownBy(() => save(path, true));
        expect(error).toMatchObject({ code: 'EIO', syscall: 'fsync', path: folder });
      } finally {
        sync.mockRestore();
      }
      expect(readdirSync(folder)).toEqual(['model.safetensors']);
      using file = safeOpenSync(path);
      if (way === 'updateMetadata') expect({ ...file.metadata }).toEqual({ a: 'b' });
      else expect(file.keys().sort()).toEqual(Object.keys(tensors).sort());
    },
  );
});

describe('memory that goes away while it is written', () => {
  it('is not said to be of a file', async () => {
    const folder = newFolder('resize');
    const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
    const report = await childReport<Refusal>('save-refused', ['resize', folder], { env });
    expect(report.failure).toMatchObject({
      name: 'TypeError',
      message: expect.stringMatching(/^data: expected \d+ bytes until they are written, found 0/),
    });
    expect({ whole: report.whole, files: report.files }).toEqual({
      whole: true,
      files: ['model.safetensors'],
    });
  });
});

describe('tensors of a file that is cut short', () => {
  it.each(['truncate-before', 'truncate-during'])('FILE_CHANGED: %s', async (mode) => {
    const folder = newFolder(mode);
    const source = join(root, `${mode}.safetensors`);
    const report = await childReport<Refusal>('save-refused', [mode, folder, source]);
    expect(report.failure).toMatchObject({
      code: 'ERR_SAFETENSORS_FILE_CHANGED',
      path: source,
      tensor: expect.stringMatching(/^(large|small)\.\d+$/),
    });
    expect({ whole: report.whole, files: report.files }).toEqual({
      whole: true,
      files: ['model.safetensors'],
    });
  });
});

/** Child processes, because a mistake here is a crash, or a file of other memory. */
describe('a container that goes away while it is saved', () => {
  const source = join(root, 'source.safetensors');
  const LARGE = 24 * 2 ** 20;
  writeFileSync(
    source,
    serialize({
      a: { dtype: 'U8', shape: [LARGE], data: patternBytes(LARGE) },
      b: { dtype: 'F32', shape: [LARGE / 4], data: patternBytes(LARGE, 2) },
      ...Object.fromEntries(
        Array.from({ length: 1000 }, (_, i) => [
          `small.${i}`,
          { dtype: 'U8', shape: [i], data: patternBytes(i, i) } as const,
        ]),
      ),
    }),
  );

  it('by close(): the saving ends with CLOSED, or with the file as it was', async () => {
    const target = join(newFolder('closed'), 'model.safetensors');
    const { outcomes, left, held } = await childReport<{
      outcomes: Record<string, number>;
      left: string[];
      held: Holdings;
    }>('close-while-saving', [source, target, '60', '40'], { nodeFlags: ['--expose-gc'] });
    const { ERR_SAFETENSORS_CLOSED: closed = 0, saved = 0, ...others } = outcomes;
    expect({ others, left }).toEqual({ others: {}, left: [] });
    expect(closed + saved).toBe(60);
    expect(closed).toBeGreaterThan(0);
    if (process.platform === 'linux') expect(held.mappings).toBe(0);
  });

  it('by the end of its worker: no crash, and no mapping is left', async () => {
    const target = join(newFolder('terminated'), 'model.safetensors');
    const held = await childReport<Holdings>('terminated-savers', [source, target, '60'], {
      nodeFlags: ['--expose-gc'],
    });
    if (process.platform === 'linux') expect(held.mappings).toBe(0);
  });
});
