import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { openModel, safeOpen, safeOpenSync } from '../src/index.ts';
import type { Holdings } from './children/support/process.ts';
import { buildFile } from './support/build.ts';
import { childReport, runCommand } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { expectNoLeak } from './support/leaks.ts';
import { rounds } from './support/rounds.ts';
import { writeSparseFile } from './support/sparse.ts';
import { temporaryFolder } from './support/temporary.ts';

const MEGABYTE = 2 ** 20;
const isLinux = process.platform === 'linux';
const folder = temporaryFolder();

const tensor = { name: 'a', dtype: 'U8', shape: [4], data: Uint8Array.of(1, 2, 3, 4) };

function fileIn(place: string, name = 'a.safetensors'): string {
  const path = join(place, name);
  writeFileSync(path, buildFile([tensor]));
  return path;
}

/** A folder on a file system in user space, over another folder; or why there is none. */
function mountFuse(): { mounted: string } | { reason: string } {
  if (!isLinux) return { reason: 'bindfs is looked for on Linux alone' };
  const [source, mounted] = [join(folder, 'under'), join(folder, 'fuse')];
  mkdirSync(source);
  mkdirSync(mounted);
  const { error, status, stderr } = spawnSync('bindfs', [source, mounted], { encoding: 'utf8' });
  if (error) return { reason: `bindfs: ${error.message}` };
  return status === 0 ? { mounted } : { reason: `bindfs: ${stderr.trim()}` };
}

describe('a file system in user space', () => {
  const mount = mountFuse();
  if ('reason' in mount) console.warn(`backends: FUSE is left out: ${mount.reason}`);
  const mounted = 'mounted' in mount ? mount.mounted : '';
  afterAll(() => {
    if (mounted !== '') spawnSync('umount', [mounted]);
  });

  it.skipIf(mounted === '')('is read, unless it is to be mapped', async () => {
    const path = fileIn(mounted);
    for (const [choice, backend] of [
      [undefined, 'read'],
      ['auto', 'read'],
      ['read', 'read'],
      ['mmap', 'mmap'],
    ] as const) {
      using file = await safeOpen(path, { backend: choice });
      using again = safeOpenSync(path, { backend: choice });
      using model = await openModel(path, { backend: choice });
      for (const container of [file, again, model]) {
        expect(container.backend).toBe(backend);
        expect(container.getTensor('a').data).toEqual(tensor.data);
      }
    }
  });

  it.skipIf(mounted === '')('is read where one shard of a model is there', async () => {
    const place = join(folder, 'links');
    mkdirSync(place);
    const there = fileIn(mounted, 'b.safetensors');
    fileIn(place);
    symlinkSync(there, join(place, 'b.safetensors'));
    const index = join(place, 'model.safetensors.index.json');
    const write = (names: object) => writeFileSync(index, JSON.stringify({ weight_map: names }));
    write({ a: 'a.safetensors' });
    using near = await openModel(index);
    expect(near.backend).toBe('mmap');
    writeFileSync(there, buildFile([{ ...tensor, name: 'b' }]));
    write({ a: 'a.safetensors', b: 'b.safetensors' });
    using far = await openModel(index);
    expect(far.backend).toBe('read');
    expect(far.getTensor('b').data).toEqual(tensor.data);
  });

  it.skipIf(mounted === '')(
    'keeps the contract',
    async () => {
      const main = fileURLToPath(new URL('../out/test/contract/main.js', import.meta.url));
      const { code, stderr, stdout } = await runCommand(process.execPath, [main], {
        env: { ...process.env, TMPDIR: mounted },
        timeoutMs: 200_000,
      });
      expect(stderr).toBe('');
      expect(code).toBe(0);
      expect(JSON.parse(stdout).passed).toBeGreaterThan(100);
    },
    200_000,
  );
});

describe.runIf(isLinux)('a file that cannot be mapped', () => {
  // Of a file system without mmap: its files say that they have a page, and have less.
  const unmappable = '/sys/kernel/mm/transparent_hugepage/enabled';
  // More than the addresses of any process, on a file system that has files so long.
  const endless = join('/dev/shm', `safetensors-mmap-${process.pid}.safetensors`);
  afterAll(() => rmSync(endless, { force: true }));

  it('is read by itself: ENODEV', async () => {
    const error = await thrownBy(() => safeOpenSync(unmappable, { backend: 'mmap' }));
    expect(error).toMatchObject({ code: 'ENODEV', syscall: 'mmap', path: unmappable });
    for (const backend of ['auto', 'read'] as const) {
      const error = await thrownBy(() => safeOpenSync(unmappable, { backend }));
      expect(error.code).toBe('ERR_SAFETENSORS_FILE_CHANGED');
    }
  });

  it('is read by itself: ENOMEM', async () => {
    const head = 200 * 2 ** 40;
    writeSparseFile(endless, [
      { name: 'head', byteLength: head, tail: new Uint8Array(0) },
      { name: 'a', byteLength: 4, tail: tensor.data },
    ]);
    const index = join(folder, 'endless.safetensors.index.json');
    symlinkSync(endless, join(folder, 'endless.safetensors'));
    const map = { head: 'endless.safetensors', a: 'endless.safetensors' };
    writeFileSync(index, JSON.stringify({ weight_map: map }));
    for (const open of [
      (backend?: 'mmap') => safeOpen(endless, { backend }),
      async (backend?: 'mmap') => safeOpenSync(endless, { backend }),
      (backend?: 'mmap') => openModel(endless, { backend }),
      (backend?: 'mmap') => openModel(index, { backend }),
    ]) {
      const error = await thrownBy(() => open('mmap'));
      expect(error).toMatchObject({ code: 'ENOMEM', syscall: 'mmap' });
      using container = await open();
      expect(container.backend).toBe('read');
      expect(container.getTensor('a').data).toEqual(tensor.data);
      const far = container.getSlice('head', [head - 3, head]);
      expect(far.data).toEqual(new Uint8Array(3));
      expect(await thrownBy(() => container.getTensor('head').data)).toBeInstanceOf(RangeError);
    }
  });
});

it.runIf(isLinux)('files near by are mapped', () => {
  for (const place of [folder, '/dev/shm']) {
    const path = fileIn(place, `near-${process.pid}.safetensors`);
    try {
      using file = safeOpenSync(path);
      expect(file.backend, `${place} is of type 0x${statfsSync(place).type.toString(16)}`).toBe(
        'mmap',
      );
    } finally {
      rmSync(path);
    }
  }
});

describe('memory of the backend read', () => {
  const path = join(folder, 'rounds.safetensors');
  const tensors = 64;
  const tensorBytes = 16 * MEGABYTE;
  writeSparseFile(
    path,
    Array.from({ length: tensors }, (_, i) => {
      return { name: `t${i}`, byteLength: tensorBytes, tail: tensor.data };
    }),
  );

  it.each([
    ['tensors', Math.max(4, rounds(12))],
    ['closed', Math.max(4, rounds(12))],
    ['left', Math.max(4, rounds(12))],
  ])(
    'goes with the views, the file or the garbage: %s',
    async (mode, count) => {
      const { bytes, held, peakGrowth } = await childReport<{
        bytes: number;
        held: Holdings[];
        peakGrowth: number;
      }>('read-rounds', [path, mode, `${count}`], {
        nodeFlags: ['--expose-gc'],
        timeoutMs: 120_000,
      });
      expect(bytes).toBeGreaterThanOrEqual(count * tensors * tensorBytes);
      // glibc keeps memory of up to 32 MiB in its heap, and with it some of what lies before it there.
      expectNoLeak(held, 0, 8 * tensorBytes);
      // All of a file is in memory when it is prefetched, and so may those be that are garbage.
      expect(peakGrowth).toBeLessThan((mode === 'tensors' ? 512 : 3 * 1024) * MEGABYTE);
    },
    120_000,
  );

  it('is held by nobody when the process ends at any moment', async () => {
    const huge = join(folder, 'ended.safetensors');
    writeSparseFile(huge, [{ name: 't', byteLength: 2 ** 31, tail: new Uint8Array(0) }]);
    for (const way of ['exit', 'end', 'terminate', 'close', 'drop']) {
      const report = await childReport<{ way: string }>('prefetch-ended', [huge, way, 'read'], {
        nodeFlags: ['--expose-gc'],
        timeoutMs: 110_000,
      });
      expect(report.way).toBe(way);
    }
    truncateSync(huge, 0);
  }, 120_000);
});

it('a part of a tensor is read though no buffer is as long as the tensor', async () => {
  const path = join(folder, 'long.safetensors');
  const byteLength = 5 * 2 ** 30;
  writeSparseFile(path, [{ name: 't', byteLength, tail: tensor.data }]);
  using file = await safeOpen(path, { backend: 'read' });
  const whole = file.getTensor('t');
  expect(whole.slice([-4, null]).data).toEqual(tensor.data);
  expect((await whole.sliceAsync([[-1, -3, -1]])).data).toEqual(Uint8Array.of(4, 3));
  expect((await file.residency()).residentBytes).toBe(0);
});
