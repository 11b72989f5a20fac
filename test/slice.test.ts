import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Container,
  type Dtype,
  deserialize,
  type SliceRange,
  safeOpenSync,
  saveFile,
  type Tensor,
} from '../src/index.ts';
import { ALL_DTYPES, buildFile, DTYPE_BITS, patternBytes, tensorBytes } from './support/build.ts';
import { thrownBy } from './support/errors.ts';
import { anySlice, areTogether, bytesOfElements, modelSlice } from './support/slices.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';
import { DATA_ELEMENTS, expectContents } from './support/values.ts';

const makeFile = fileMaker();

const RUNS = Number(process.env.SAFETENSORS_MMAP_FUZZ_RUNS ?? 200);

function shared(bytes: Uint8Array): Uint8Array {
  const target = new Uint8Array(new SharedArrayBuffer(bytes.length));
  target.set(bytes);
  return target;
}

const ways: Record<string, (bytes: Buffer) => Container> = {
  'a file': (bytes) => safeOpenSync(makeFile(bytes)),
  memory: (bytes) => deserialize(bytes),
  'shared memory': (bytes) => deserialize(shared(bytes)),
};

/** A tensor `x` that does not begin with the data, in a container. */
function fileWith(dtype: Dtype, shape: readonly number[], dataStartModulo8 = 0): Buffer {
  const data = patternBytes(tensorBytes(dtype, shape), 7);
  const front = { name: 'front', dtype: 'U8', shape: [8], data: patternBytes(8) };
  return buildFile([front, { name: 'x', dtype, shape, data }], { dataStartModulo8 });
}

/** Holds a slice against the model; whether there was one. */
async function expectLikeModel(tensor: Tensor, ranges: readonly SliceRange[]): Promise<boolean> {
  const { dtype, shape } = tensor;
  const all = Uint8Array.from(tensor.bytes);
  const model = modelSlice(shape, ranges);
  const bytes = model === 'out of range' ? undefined : bytesOfElements(dtype, all, model.elements);
  if (model === 'out of range' || bytes === undefined) {
    const error = await thrownBy(() => tensor.slice(...ranges));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_SLICE_RANGE', tensor: tensor.name });
    return false;
  }
  const slice = tensor.slice(...ranges);
  expect(slice.shape).toEqual(model.shape);
  expect(Object.isFrozen(slice.shape)).toBe(true);
  expect(slice.size).toBe(model.elements.length);
  expect(slice.byteLength).toBe(bytes.length);
  expect([slice.name, slice.dtype]).toEqual([tensor.name, dtype]);
  if (!areTogether(model.elements)) expect(slice.zeroCopy).toBe(false);
  else if (bytes.length > 0) expect(slice.bytes.buffer).toBe(tensor.bytes.buffer);
  expectContents(slice, bytes);
  return true;
}

describe.each(Object.entries(ways))('slices of %s', (_, open) => {
  it.each(ALL_DTYPES)('%s: as the model has them', async (dtype) => {
    let sliced = 0;
    await fc.assert(
      fc.asyncProperty(anySlice(dtype), fc.nat(7), async ({ shape, ranges }, modulo) => {
        using container = open(fileWith(dtype, shape, modulo));
        if (await expectLikeModel(container.getTensor('x'), ranges)) sliced++;
      }),
      { numRuns: RUNS },
    );
    expect(sliced).toBeGreaterThan(RUNS / 10);
  });

  it('slices of slices', async () => {
    const anyTwo = anySlice('I16').chain((slice) =>
      fc.record({ slice: fc.constant(slice), more: anySlice('I16').map(({ ranges }) => ranges) }),
    );
    await fc.assert(
      fc.asyncProperty(anyTwo, async ({ slice: { shape, ranges }, more }) => {
        using container = open(fileWith('I16', shape, 1));
        if (modelSlice(shape, ranges) === 'out of range') return;
        await expectLikeModel(container.getTensor('x').slice(...ranges), more);
      }),
      { numRuns: RUNS },
    );
  });

  it('more axes than any real tensor has, all kinds of steps', async () => {
    const shape = [2, 1, 3, 1, 2, 3, 1, 2, 4];
    using container = open(fileWith('U16', shape));
    const tensor = container.getTensor('x');
    const kinds: SliceRange[] = [[null, null, -1], null, [1, null], [null, null, 2]];
    for (let round = 0; round < 50; round++) {
      const ranges = shape.map((_, axis) => kinds[(round * 7 + axis * (round + 3)) % kinds.length]);
      await expectLikeModel(tensor, ranges);
    }
  });

  it('does not have to look at what it leaves out, nor to multiply it', () => {
    using container = open(fileWith('F32', [0, 2 ** 40, 5]));
    const tensor = container.getTensor('x');
    expect(tensor.slice(null, [2 ** 39, null], [null, null, -1]).shape).toEqual([0, 2 ** 39, 5]);
    expect(tensor.slice('...', -1).data.length).toBe(0);
  });

  it('no ranges take the whole tensor, as a tensor of its own', () => {
    using container = open(fileWith('F64', [2, 2]));
    const tensor = container.getTensor('x');
    const whole = tensor.slice();
    expect(whole).not.toBe(tensor);
    expect(whole.zeroCopy).toBe(tensor.zeroCopy);
    expect([whole.shape, whole.bytes]).toEqual([tensor.shape, tensor.bytes]);
    expect(container.getSlice('x', 1).bytes).toEqual(tensor.bytes.subarray(16));
  });

  it.each(ALL_DTYPES)('%s: zero-copy where the elements lie together', (dtype) => {
    using container = open(fileWith(dtype, [4, 8]));
    const tensor = container.getTensor('x');
    const row = tensor.byteLength / 4;
    for (const slice of [tensor.slice(1), tensor.slice([1, 3]), tensor.slice([1, 2], null)]) {
      expect(slice.zeroCopy).toBe(tensor.zeroCopy);
      slice.bytes[0] ^= 0xff;
      expect(tensor.bytes[row]).toBe(slice.bytes[0]);
      expect(slice.data.buffer).toBe(tensor.data.buffer);
    }
    const column = tensor.slice(null, [0, 4]);
    expect(column.zeroCopy).toBe(false);
    const before = tensor.bytes[0];
    column.bytes[0] ^= 0xff;
    expect(column.data).toBe(column.data);
    expect(new Uint8Array(column.data.buffer)[0]).toBe(column.bytes[0]);
    expect(tensor.bytes[0]).toBe(before);
    // A part of a copy is a view of the copy.
    const part = column.slice([2, 3]);
    expect(part.bytes.buffer).toBe(column.bytes.buffer);
    expect(part.zeroCopy).toBe(false);
  });

  it('a misaligned part is copied when it is asked for, and no more of it', () => {
    using container = open(fileWith('F64', [100, 2], 3));
    const part = container.getTensor('x').slice(7);
    expect(part.zeroCopy).toBe(false);
    expect(part.bytes.buffer).toBe(container.getTensor('x').bytes.buffer);
    expect(part.data.buffer.byteLength).toBe(16);
    expectContents(part, container.getTensor('x').bytes.slice(112, 128));
  });

  it('after closing, throws CLOSED', async () => {
    const container = open(fileWith('F32', [4, 4]));
    const tensor = container.getTensor('x');
    const [row, column] = [tensor.slice(1), tensor.slice('...', 1)];
    const views = [row.bytes, row.data, column.bytes, column.data];
    container.close();
    const expected = container.path === undefined ? [16, 16, 16, 16] : [0, 0, 0, 0];
    expect(views.map(({ byteLength }) => byteLength)).toEqual(expected);
    const uses: (() => unknown)[] = [
      () => container.getSlice('x', 1),
      ...[tensor, row, column].flatMap((each) => [
        () => each.slice(0),
        () => each.slice(9),
        () => each.slice([null, null, -1]),
        () => each.data,
        () => each.bytes,
      ]),
    ];
    for (const use of uses) {
      expect((await thrownBy(use)).code, String(use)).toBe('ERR_SAFETENSORS_CLOSED');
    }
    expect([column.shape, column.byteLength, column.name]).toEqual([[4], 16, 'x']);
  });
});

describe('what a tensor does not have', () => {
  const cases: [SliceRange[], RegExp][] = [
    [[3], /axis 0: expected an index from -3 to 2, found 3$/],
    [[-4], /axis 0: expected an index from -3 to 2, found -4$/],
    [[null, 4], /axis 1: expected an index from -4 to 3, found 4$/],
    [['...', -6], /axis 2: expected an index from -5 to 4, found -6$/],
    [[0, 0, '...', 0, 0], /axis 3: expected ranges for 3 axes, found 4$/],
    [[0, 0, 0, null], /axis 3: expected ranges for 3 axes, found 4$/],
  ];
  it.each(cases)('%j', async (ranges, message) => {
    const path = makeFile(fileWith('F32', [3, 4, 5]));
    using file = safeOpenSync(path);
    const error = await thrownBy(() => file.getSlice('x', ...ranges));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_SLICE_RANGE', tensor: 'x', path });
    expect(error.message).toMatch(message);
  });

  it('an empty axis has no index', async () => {
    const memory = deserialize(fileWith('F32', [0, 4]));
    const error = await thrownBy(() => memory.getSlice('x', 0));
    expect(error.message).toMatch(/axis 0: expected no index, since the axis is empty, found 0$/);
  });

  it.each(ALL_DTYPES.filter((dtype) => DTYPE_BITS[dtype] < 8))(
    '%s: a part of a byte',
    async (dtype) => {
      const memory = deserialize(fileWith(dtype, [3, 8]));
      const halves: SliceRange[][] = [
        [0, 0],
        [0, [0, 3]],
        [null, [1, 5]],
        [null, [null, null, 2]],
        [null, [null, null, -1]],
      ];
      for (const ranges of halves) {
        const error = await thrownBy(() => memory.getSlice('x', ...ranges));
        expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_SLICE_RANGE', tensor: 'x' });
        expect(error.message).toMatch(new RegExp(`whole bytes.*${dtype} has ${DTYPE_BITS[dtype]}`));
      }
      expect(memory.getSlice('x', [null, null, -1], [4, 8]).shape).toEqual([3, 4]);
    },
  );
});

describe('misuse', () => {
  const memory = deserialize(fileWith('F32', [3, 4]));
  const types: unknown[] = [
    undefined,
    '1',
    '..',
    ':',
    true,
    1n,
    {},
    new Map(),
    [],
    [1],
    [0, 1, 1, 1],
    ['0', 1],
    [0, 1n],
    [undefined, 1],
    [0, 1, '1'],
    Uint8Array.of(0, 1),
    { 0: 0, 1: 1, length: 2 },
    Symbol('x'),
    () => 0,
  ];
  it.each(types.map((range) => [range]))('TypeError: %o', async (range) => {
    for (const ranges of [[range], [null, range], ['...', range]]) {
      const slice = () => memory.getSlice('x', ...(ranges as SliceRange[]));
      const error = await thrownBy(slice);
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/^range \d(: (start|stop|step))?: expected .*, found /s);
    }
  });

  const values: SliceRange[][] = [
    [0.5],
    [NaN],
    [Infinity],
    [2 ** 53],
    [[0, 1.5]],
    [[0, Infinity]],
    [[-Infinity, 0]],
    [[0, 1, 0]],
    [[0, 1, -0]],
    [[0, 1, 0.5]],
    ['...', '...'],
    ['...', 0, '...'],
  ];
  it.each(values.map((ranges) => [ranges]))('RangeError: %j', async (ranges) => {
    const error = await thrownBy(() => memory.getSlice('x', ...ranges));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/expected .*, found /);
  });

  it('a name that is none, or not there', async () => {
    expect((await thrownBy(() => memory.getSlice('y', 0))).code).toBe(
      'ERR_SAFETENSORS_TENSOR_NOT_FOUND',
    );
    expect(await thrownBy(() => memory.getSlice(0 as unknown as string))).toBeInstanceOf(TypeError);
  });

  it('-0 is 0', () => {
    expect(memory.getSlice('x', -0, [-0, 2]).bytes).toEqual(memory.getSlice('x', 0, [0, 2]).bytes);
  });
});

describe('saving', () => {
  it('slices of every kind are saved, and read as they were', async () => {
    const folder = temporaryFolderPath;
    for (const dtype of ALL_DTYPES) {
      using file = safeOpenSync(makeFile(fileWith(dtype, [6, 16], 1)));
      const tensor = file.getTensor('x');
      const slices = {
        rows: tensor.slice([1, 3]),
        columns: tensor.slice(null, [8, null]),
        backwards: tensor.slice([null, null, -1]),
        part: tensor.slice(null, [8, null]).slice([2, 4]),
        none: tensor.slice([0, 0]),
      };
      const path = join(folder, `${dtype}.safetensors`);
      await saveFile(slices, path);
      const saved = deserialize(readFileSync(path));
      for (const [name, slice] of Object.entries(slices)) {
        expect(saved.info(name)).toMatchObject({ dtype, shape: slice.shape });
        expectContents(saved.getTensor(name), slice.bytes);
        expect(slice.data.constructor).toBe(DATA_ELEMENTS[dtype].array);
      }
    }
  });

  // Of one piece, the write is under way with nothing more to be asked for; of several, it is not.
  it.each([1, 4])(
    'closing meanwhile: CLOSED, or it has read all it needs, %i pieces',
    async (pieces) => {
      const columns = pieces * 1500;
      const path = makeFile(fileWith('U8', [4096, 2 * columns]));
      const outcomes = new Set<string>();
      for (let turns = 0; turns < 30; turns++) {
        const file = safeOpenSync(path);
        const slice = file.getSlice('x', null, [0, columns]);
        const expected = Buffer.from(slice.bytes);
        const { bytes } = slice;
        const target = join(temporaryFolderPath, `closed-${turns}.safetensors`);
        const saving = saveFile({ slice }, target, { fsync: false }).then(
          () => 'saved',
          (error) => error.code,
        );
        for (let turn = 0; turn < turns; turn++)
          await new Promise((resolve) => setImmediate(resolve));
        file.close();
        expect(bytes.length).toBe(0);
        // Takes the place of memory that was freed too early.
        const scribble = Buffer.alloc(expected.length, 0xee);
        const outcome = await saving;
        expect(scribble.at(-1)).toBe(0xee);
        outcomes.add(outcome);
        if (outcome !== 'saved') continue;
        const saved = deserialize(readFileSync(target));
        expect(Buffer.compare(saved.getTensor('slice').bytes, expected)).toBe(0);
      }
      expect(outcomes).toContain('ERR_SAFETENSORS_CLOSED');
      for (const outcome of outcomes)
        expect(['saved', 'ERR_SAFETENSORS_CLOSED']).toContain(outcome);
    },
  );
});

const temporaryFolderPath = temporaryFolder();
