/** Cases: names, tensors, slices, decoding. */
import assert from 'node:assert/strict';
import { ALL_DTYPES, COUNTING, elementsOf, fileOf, LARGE, METADATA, TENSORS } from './model.js';
import type { Case } from './setup.js';

const codeOf = (name: string) => ({ code: `ERR_SAFETENSORS_${name}` });

/** Bytes as something that `assert` compares fast. */
const buffer = (bytes: ArrayBufferView) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function assertSame(found: ArrayBufferView, expected: ArrayBufferView, message?: string): void {
  assert.equal(found.byteLength, expected.byteLength, message);
  assert.ok(buffer(found).equals(buffer(expected)), message ?? 'other bytes');
}

/** COUNTING[from:to:step, column] and the like, by hand. */
function counted(rows: number[], columns: number[]): Float32Array {
  return Float32Array.from(rows.flatMap((r) => columns.map((c) => r * 10 + c)));
}

export const READING: readonly Case[] = [
  {
    title: 'says what it is',
    check: async ({ open, backend, files, isModel, places }) => {
      using container = await open();
      assert.equal(container.backend, backend);
      assert.equal(container.closed, false);
      assert.equal(container.size, TENSORS.length);
      assert.deepEqual({ ...container.metadata }, METADATA);
      assert.ok(Object.isFrozen(container.metadata));
      assert.equal(Object.getPrototypeOf(container.metadata), null);
      if (files.length > 0) {
        assert.equal(container.path, isModel ? places.index : places.file);
        container.check();
      }
    },
  },
  {
    title: 'has the names in their order',
    check: async ({ open }) => {
      using container = await open();
      const names = TENSORS.map(({ name }) => name);
      assert.deepEqual(container.keys(), names);
      assert.deepEqual([...container.offsetKeys()].sort(), [...names].sort());
      assert.ok(container.has('__proto__'));
      assert.ok(!container.has('toString'));
      assert.deepEqual(
        Array.from(container, ([name]) => name),
        names,
      );
    },
  },
  {
    title: 'knows no other names',
    check: async ({ open }) => {
      using container = await open();
      assert.throws(() => container.getTensor('countin'), codeOf('TENSOR_NOT_FOUND'));
      assert.throws(() => container.getTensor('countin'), /"counting"/);
      await assert.rejects(container.prefetch(['nope']), codeOf('TENSOR_NOT_FOUND'));
    },
  },
  {
    title: 'shows tensors of every dtype, aligned or not',
    check: async ({ open, zeroCopy }) => {
      using container = await open();
      for (const known of TENSORS) {
        const { name, dtype, shape, bytes } = known;
        const tensor = container.getTensor(name);
        assert.deepEqual(container.info(name).shape, shape);
        assert.equal(tensor.dtype, dtype);
        assert.deepEqual(tensor.shape, shape);
        assert.equal(tensor.byteLength, bytes.length);
        const expected = elementsOf(known);
        assert.equal(tensor.data.constructor, expected.constructor, name);
        assertSame(tensor.data, expected, name);
        assertSame(tensor.bytes, bytes, name);
        if (!zeroCopy) assert.equal(tensor.zeroCopy, false, name);
        if (name.startsWith('aligned.')) assert.equal(tensor.zeroCopy, zeroCopy, name);
      }
      assert.equal(ALL_DTYPES.length, 22);
    },
  },
  {
    title: 'has one array of a tensor, and one memory',
    check: async ({ open }) => {
      using container = await open();
      const tensor = container.getTensor('counting');
      assert.equal(tensor.data, tensor.data);
      const again = container.getTensor('counting');
      tensor.data[3] = 77;
      assert.equal(again.data[3], 77);
      assert.equal(tensor.slice([0, 1]).data[3], 77);
    },
  },
  {
    title: 'is written to in this process alone',
    check: async ({ open, files }) => {
      using container = await open();
      container.getTensor('counting').bytes.fill(9);
      if (files.length === 0) return;
      using other = await open();
      assertSame(other.getTensor('counting').bytes, COUNTING.bytes);
    },
  },
  {
    title: 'slices as numpy does',
    check: async ({ open }) => {
      using container = await open();
      const tensor = container.getTensor('counting');
      const all = Array.from({ length: 12 }, (_, i) => i);
      const ten = all.slice(0, 10);
      const wanted = [
        [[[2, 5]], [3, 10], counted([2, 3, 4], ten)],
        [[-1], [10], counted([11], ten)],
        [[null, -1], [12], counted(all, [9])],
        [
          [
            [null, null, 5],
            [1, 9, 3],
          ],
          [3, 3],
          counted([0, 5, 10], [1, 4, 7]),
        ],
        [[[10, null, -4], '...'], [3, 10], counted([10, 6, 2], ten)],
        [[null, [null, null, -1]], [12, 10], counted(all, ten.toReversed())],
        [[[5, 5]], [0, 10], new Float32Array(0)],
        [[3, 4], [], Float32Array.of(34)],
      ] as const;
      for (const [ranges, shape, expected] of wanted) {
        const message = JSON.stringify(ranges);
        for (const slice of [
          tensor.slice(...ranges),
          await tensor.sliceAsync([...ranges]),
          container.getSlice('counting', ...ranges),
        ]) {
          assert.deepEqual(slice.shape, shape, message);
          assertSame(slice.data, expected, message);
          assertSame(slice.bytes, expected, message);
        }
      }
      assertSame(tensor.slice([2, 8], [2, 8]).slice(1, [1, 3]).data, counted([3], [3, 4]));
      assert.throws(() => tensor.slice(12), codeOf('SLICE_RANGE'));
      await assert.rejects(tensor.sliceAsync([0, 0, 0]), codeOf('SLICE_RANGE'));
    },
  },
  {
    title: 'slices a tensor of many pieces',
    check: async ({ open }) => {
      using container = await open();
      const tensor = container.getTensor('large');
      const column = Float32Array.from({ length: 2304 }, (_, i) => i * 1024 + 1023);
      assertSame((await tensor.sliceAsync([null, -1])).data, column);
      assertSame(tensor.slice(null, -1).data, column);
      const rows = elementsOf(LARGE).slice(1000 * 1024, 2200 * 1024);
      assertSame((await tensor.sliceAsync([[1000, 2200]])).data, rows as Float32Array);
      assertSame(tensor.slice([1000, 2200]).data, rows as Float32Array);
      assertSame(tensor.bytes, LARGE.bytes);
    },
  },
  {
    title: 'decodes to F32',
    check: async ({ open }) => {
      using container = await open();
      for (const dtype of ALL_DTYPES) {
        const name = `misaligned.${dtype}`;
        const tensor = container.getTensor(name);
        if (dtype === 'C64') {
          assert.throws(() => tensor.toFloat32(), codeOf('UNSUPPORTED_DTYPE'));
          await assert.rejects(tensor.toFloat32Async(), codeOf('UNSUPPORTED_DTYPE'));
          continue;
        }
        const decoded = tensor.toFloat32();
        assert.equal(decoded.length, 8);
        const out = new Float32Array(8);
        assert.equal(await container.getTensor(name).toFloat32Async(out), out);
        assertSame(out, decoded, name);
      }
      const bits = container.getTensor('aligned.BF16');
      const expected = new Float32Array(
        Uint32Array.from(bits.data as Uint16Array, (n) => n << 16).buffer,
      );
      assertSame(bits.toFloat32(), expected);
      assertSame(await container.getTensor('large').toFloat32Async(), elementsOf(LARGE));
      assertSame(container.getTensor('large').toFloat32(), elementsOf(LARGE));
      assertSame(
        await container.getSlice('counting', [3, 5]).toFloat32Async(),
        counted([3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
      );
    },
  },
  {
    title: 'decodes weights whose blocks share a scale',
    check: async ({ open, api }) => {
      using container = await open();
      using memory = api.deserialize(fileOf(TENSORS));
      const blocks = (from: typeof container) =>
        [from.getTensor('blocks'), from.getTensor('scales')] as const;
      const tiles = (from: typeof container) =>
        [from.getTensor('weight'), from.getTensor('weight_scale'), { blockSize: [2, 3] }] as const;
      const mxfp4 = api.decodeMxfp4(...blocks(memory));
      assertSame(api.decodeMxfp4(...blocks(container)), mxfp4);
      assertSame(await api.decodeMxfp4Async(...blocks(container)), mxfp4);
      const scaled = api.decodeBlockScaled(...tiles(memory));
      assertSame(api.decodeBlockScaled(...tiles(container)), scaled);
      assertSame(await api.decodeBlockScaledAsync(...tiles(container)), scaled);
    },
  },
  {
    title: 'is saved as it is',
    check: async ({ open, api, folder }) => {
      using container = await open();
      const expected = api.serialize(api.deserialize(fileOf(TENSORS)), { metadata: METADATA });
      assertSame(api.serialize(container, { metadata: container.metadata }), expected);
      const path = `${folder}/saved.safetensors`;
      await api.saveFile(container, path, { metadata: container.metadata });
      using saved = api.safeOpenSync(path);
      for (const { name, bytes } of TENSORS) assertSame(saved.getTensor(name).bytes, bytes, name);
      const changed = container.getTensor('counting');
      changed.data[0] = 55;
      await api.saveFile(container, path);
      using again = api.safeOpenSync(path);
      assert.equal(again.getTensor('counting').data[0], 55);
      // Used until here, so that there is a view until then.
      assert.equal(changed.data[0], 55);
    },
  },
];
