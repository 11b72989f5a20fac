/** Cases: bringing tensors into memory, giving it back, closing. */
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { COUNTING, LARGE, TENSORS } from './model.js';
import type { Api, Case } from './setup.js';

const codeOf = (name: string) => ({ code: `ERR_SAFETENSORS_${name}` });
const ALL_BYTES = TENSORS.reduce((sum, { bytes }) => sum + bytes.length, 0);

function assertCounts(data: ArrayLike<unknown>): void {
  assert.equal(data.length, 120);
  for (let i = 0; i < 120; i++) assert.equal(data[i], i);
}

export const MEMORY: readonly Case[] = [
  {
    title: 'brings tensors into memory, and says how far it is',
    check: async ({ open }) => {
      using container = await open();
      const seen: Api.PrefetchProgress[] = [];
      const onProgress = (progress: Api.PrefetchProgress) => seen.push(progress);
      await container.prefetch(['large', 'counting'], { onProgress });
      const bytes = LARGE.bytes.length + COUNTING.bytes.length;
      assert.deepEqual(seen.at(-1), { bytes, totalBytes: bytes });
      assert.ok(seen.every((progress, i) => i === 0 || progress.bytes > seen[i - 1].bytes));
      const part = await container.residency(['large', 'counting']);
      assert.deepEqual(part, { byteLength: bytes, residentBytes: bytes });
      await container.prefetch();
      const all = await container.residency();
      assert.deepEqual(all, { byteLength: ALL_BYTES, residentBytes: ALL_BYTES });
      assertCounts(container.getTensor('counting').data);
    },
  },
  {
    title: 'has nothing in memory that nobody asked for',
    of: ({ reads }) => reads,
    check: async ({ open }) => {
      using container = await open();
      assert.equal((await container.residency()).residentBytes, 0);
      const { data } = container.getTensor('counting');
      assert.equal((await container.residency()).residentBytes, COUNTING.bytes.length);
      assertCounts(data);
    },
  },
  {
    title: 'gives memory back, and views stay what they are',
    check: async ({ open }) => {
      using container = await open();
      await container.prefetch();
      const { data } = container.getTensor('counting');
      await container.release(['counting', 'large']);
      await container.release();
      assertCounts(data);
      assertCounts(container.getTensor('counting').data);
      assert.deepEqual(Buffer.from(container.getTensor('large').bytes), Buffer.from(LARGE.bytes));
    },
  },
  {
    title: 'stops for a signal',
    check: async ({ open, backend }) => {
      using container = await open();
      const large = container.getTensor('large');
      const works: readonly ((signal: AbortSignal) => Promise<unknown>)[] = [
        (signal) => container.prefetch(undefined, { signal }),
        (signal) => large.toFloat32Async(undefined, { signal }),
        (signal) => large.sliceAsync([null, [null, null, 2]], { signal }),
      ];
      for (const work of works) {
        const reason = new Error('enough');
        await assert.rejects(work(AbortSignal.abort(reason)), reason);
        // Nothing is to be done that could be stopped.
        if (backend === 'memory' && work === works[0]) continue;
        const controller = new AbortController();
        const pending = work(controller.signal);
        controller.abort(reason);
        await assert.rejects(pending, reason);
        // Nothing of it is left in the way.
        await work(new AbortController().signal);
      }
    },
  },
  {
    title: 'reads a tensor once for all who wait for it',
    check: async ({ open }) => {
      using container = await open();
      const controller = new AbortController();
      const given = container
        .getTensor('large')
        .toFloat32Async(undefined, { signal: controller.signal });
      const others = [1, 2, 3].map(() => container.getTensor('large').toFloat32Async());
      controller.abort();
      await assert.rejects(given, { name: 'AbortError' });
      for (const values of await Promise.all(others)) {
        assert.equal(values[2304 * 1024 - 1], 2304 * 1024 - 1);
      }
    },
  },
  {
    title: 'leaves the event loop free while it reads',
    check: async ({ open }) => {
      using container = await open();
      let turns = 0;
      let done = false;
      const counting = (async () => {
        for (; !done; turns++) await turn();
      })();
      try {
        await container.getTensor('large').toFloat32Async();
      } finally {
        done = true;
        await counting;
      }
      assert.ok(turns > 0);
    },
  },
  {
    title: 'empties its views when it is closed',
    of: ({ backend }) => backend !== 'memory',
    check: async ({ open }) => {
      const container = await open();
      const tensor = container.getTensor('counting');
      const { data, bytes } = tensor;
      const views = [
        data,
        bytes,
        container.getTensor('misaligned.F64').data,
        tensor.slice([1, 3]).data,
        tensor.slice(null, 1).data,
        (await tensor.sliceAsync([[2, 4]])).data,
      ];
      assert.ok(views.every((view) => view.length > 0));
      container.close();
      assert.deepEqual(
        views.map((view) => view.length),
        views.map(() => 0),
      );
    },
  },
  {
    title: 'is of no use when it is closed, and can still be described',
    check: async ({ open }) => {
      const container = await open();
      const tensor = container.getTensor('counting');
      container.close();
      container.close();
      container[Symbol.dispose]();
      assert.equal(container.closed, true);
      assert.equal(container.size, TENSORS.length);
      assert.equal(container.metadata.format, 'pt');
      assert.equal(typeof container.backend, 'string');
      const uses: readonly (() => unknown)[] = [
        () => container.keys(),
        () => container.has('counting'),
        () => container.getTensor('counting'),
        () => [...container],
        () => container.check(),
        () => tensor.data,
        () => tensor.bytes,
        () => tensor.slice(0),
        () => tensor.toFloat32(),
        () => tensor.toFloat32Async(),
        () => tensor.sliceAsync([0]),
        () => container.prefetch(),
        () => container.residency(),
        () => container.release(),
      ];
      for (const use of uses) {
        await assert.rejects(async () => use(), codeOf('CLOSED'), use.toString());
      }
    },
  },
  {
    title: 'may be closed while it is at work',
    of: ({ backend }) => backend !== 'memory',
    check: async ({ open, api, folder }) => {
      const works: readonly ((container: Api.Container) => Promise<unknown>)[] = [
        (container) => container.prefetch(),
        (container) => container.getTensor('large').toFloat32Async(),
        (container) => container.getTensor('large').sliceAsync([null, [null, null, 2]]),
        (container) => container.getTensor('large').sliceAsync([[1, 2000]]),
        (container) => api.saveFile(container, `${folder}/ended.safetensors`),
      ];
      for (const work of works) {
        for (let turns = 0; turns < 4; turns++) {
          const container = await open();
          const pending = work(container);
          for (let i = 0; i < turns; i++) await turn();
          container.close();
          // Closing may come when all is done.
          const outcome = await pending.then(
            () => 'done',
            (error: NodeJS.ErrnoException) => error.code,
          );
          if (outcome !== 'done') assert.equal(outcome, 'ERR_SAFETENSORS_CLOSED');
        }
      }
    },
  },
  {
    title: 'lends its memory to work that goes on when it is closed',
    of: ({ backend }) => backend !== 'memory',
    check: async ({ open, api }) => {
      const container = await open();
      const { data } = container.getTensor('large');
      // As F32 of the caller's own: its bytes are looked at until the promise is settled.
      const pending = api.fromFloat32Async('BF16', data as Float32Array);
      container.close();
      assert.equal(data.length, 0);
      const outcome = await pending.then(
        (bits) => bits.length,
        (error: Error) => error.name,
      );
      assert.ok(outcome === 2304 * 1024 || outcome === 'TypeError', `${outcome}`);
    },
  },
  {
    title: 'is not needed for views to live',
    check: async ({ open }) => {
      const { data } = (await open()).getTensor('counting');
      const collect: unknown = Reflect.get(globalThis, 'gc');
      for (let round = 0; round < 5; round++) {
        if (typeof collect === 'function') collect();
        await turn();
      }
      assertCounts(data);
    },
  },
];
