/** Cases: options, and files that change. */
import assert from 'node:assert/strict';
import {
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { COUNTING, fileOf, LARGE, TENSORS } from './model.js';
import type { Api, Case, Setup } from './setup.js';

const codeOf = (name: string) => ({ code: `ERR_SAFETENSORS_${name}` });
const isOfFiles = ({ backend }: { backend: Api.Backend }) => backend !== 'memory';

/** Puts other files in the places of those that are open. */
function replaceAll({ files }: Setup): void {
  for (const path of files) {
    writeFileSync(`${path}.new`, fileOf([COUNTING]));
    renameSync(`${path}.new`, path);
  }
}

/**
 * Descriptors that this process has of some files, where the system tells: others come and go with the
 * runtime and its garbage.
 */
function descriptorsOf(files: readonly string[]): number | undefined {
  if (process.platform !== 'linux') return undefined;
  const paths = new Set(files.map((path) => realpathSync(path)));
  const isOfThem = (descriptor: string) => {
    try {
      return paths.has(readlinkSync(`/proc/self/fd/${descriptor}`));
    } catch {
      return false; // closed since it was listed
    }
  };
  return readdirSync('/proc/self/fd').filter(isOfThem).length;
}

export const CHANGES: readonly Case[] = [
  {
    title: 'is opened on this thread as on another',
    of: ({ isModel, backend }) => !isModel && backend !== 'memory',
    check: ({ api, backend, places }) => {
      const choice = backend === 'read' ? 'read' : 'mmap';
      using file = api.safeOpenSync(places.file, { backend: choice });
      assert.equal(file.backend, backend);
      assert.equal(file.getTensor('counting').data[119], 119);
    },
  },
  {
    title: 'is loaded as a map',
    of: ({ isModel, backend }) => !isModel && backend !== 'memory',
    check: async ({ api, backend, places }) => {
      const choice = backend === 'read' ? 'read' : 'mmap';
      const tensors = await api.loadFile(places.file, { backend: choice });
      assert.deepEqual(
        [...tensors.keys()],
        TENSORS.map(({ name }) => name),
      );
      assert.equal(tensors.get('counting')?.data[119], 119);
    },
  },
  {
    title: 'refuses backends that there are not',
    of: isOfFiles,
    check: async ({ open }) => {
      for (const backend of ['memory', '', 7, null]) {
        const options = { backend } as unknown as Api.OpenOptions;
        await assert.rejects(open(options), { name: 'TypeError', message: /backend: expected/ });
      }
    },
  },
  {
    title: 'refuses what is no safetensors file, with the same code',
    of: isOfFiles,
    check: async ({ open, files }) => {
      for (const [length, name] of [
        [4, 'HEADER_TOO_SMALL'],
        [200, 'HEADER_LENGTH'],
      ] as const) {
        truncateSync(files[0], length);
        await assert.rejects(open(), codeOf(name));
      }
      unlinkSync(files[0]);
      await assert.rejects(open(), ({ code }: NodeJS.ErrnoException) =>
        /ENOENT|MISSING/.test(`${code}`),
      );
    },
  },
  {
    title: 'says when a file has been replaced, and still has the old one',
    of: isOfFiles,
    check: async (setup) => {
      using container = await setup.open();
      container.check();
      replaceAll(setup);
      assert.throws(() => container.check(), codeOf('FILE_CHANGED'));
      for (const { name, bytes } of TENSORS) {
        assert.ok(Buffer.from(container.getTensor(name).bytes).equals(Buffer.from(bytes)), name);
      }
      await container.prefetch();
    },
  },
  {
    title: 'has no tensor in part of a file that was cut short',
    of: ({ reads }) => reads,
    check: async ({ open, api, files, folder }) => {
      using container = await open();
      const last = files[files.length - 1];
      const there = container.getTensor('scales').data[0];
      truncateSync(
        last,
        fileOf(TENSORS).length - LARGE.bytes.length / 2 - (files.length > 1 ? 4096 : 0),
      );
      truncateSync(last, 8192);
      const large = container.getTensor('large');
      const uses: readonly (() => unknown)[] = [
        () => large.data,
        () => large.bytes,
        () => large.slice([1, 2]).data,
        () => large.slice(null, 3),
        () => large.toFloat32(),
        () => large.toFloat32Async(),
        () => large.sliceAsync([[1, 2]]),
        () => large.sliceAsync([null, 1]),
        () => container.prefetch(['large']),
        () => container.prefetch(),
        () => api.saveFile([['large', large]], `${folder}/cut.safetensors`),
        () => api.serialize([['large', large]]),
        () => container.check(),
      ];
      for (const use of uses) {
        const isRight = ({ code, path }: NodeJS.ErrnoException) =>
          code === 'ERR_SAFETENSORS_FILE_CHANGED' && path === last;
        await assert.rejects(async () => use(), isRight, use.toString());
      }
      await assert.rejects(
        async () => large.data,
        ({ tensor }: Api.SafetensorsError) => tensor === 'large',
      );
      assert.equal((await container.residency(['large'])).residentBytes, 0);
      assert.ok(!readdirSync(folder).some((name) => /cut|tmp/.test(name)));
      assert.ok(there === undefined || typeof there === 'number');
    },
  },
  {
    title: 'goes on when its file is cut short, and says so',
    of: ({ backend }) => backend === 'mmap',
    check: async ({ open, api, files, folder, zeroCopy }) => {
      using container = await open();
      const last = files[files.length - 1];
      const large = container.getTensor('large');
      const seen = zeroCopy ? large.bytes : undefined;
      truncateSync(last, 8192);
      // Where a view is read, a signal would end the process.
      if (seen !== undefined) assert.deepEqual([seen.at(-1), seen.slice().at(-1)], [0, 0]);
      const uses: readonly (() => unknown)[] = [
        () => large.slice(null, 3),
        () => large.sliceAsync([null, 1]),
        () => large.toFloat32(),
        () => large.toFloat32Async(),
        () => container.prefetch(['large']),
        () => api.saveFile([['large', large]], `${folder}/cut.safetensors`),
        () => api.serialize([['large', large]]),
        () => container.check(),
      ];
      for (const use of uses) {
        const isRight = ({ code, path }: NodeJS.ErrnoException) =>
          code === 'ERR_SAFETENSORS_FILE_CHANGED' && path === last;
        await assert.rejects(async () => use(), isRight, use.toString());
      }
      if (seen !== undefined) assert.throws(() => large.assertIntact(), codeOf('FILE_CHANGED'));
      assert.ok(!readdirSync(folder).some((name) => /cut|tmp/.test(name)));
    },
  },
  {
    title: 'keeps a descriptor of each file that is read, and none of others',
    of: isOfFiles,
    check: async ({ open, files, reads }) => {
      if (descriptorsOf(files) === undefined) return;
      const container = await open();
      await container.prefetch();
      assert.equal(descriptorsOf(files), reads ? files.length : 0);
      container.close();
      assert.equal(descriptorsOf(files), 0);
      truncateSync(files[0], 200);
      await assert.rejects(open());
      assert.equal(descriptorsOf(files), 0);
    },
  },
];
