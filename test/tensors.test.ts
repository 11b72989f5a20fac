import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import {
  type Container,
  type Dtype,
  deserialize,
  loadFile,
  SafetensorsFile,
  SafetensorsMemory,
  SafetensorsModel,
  SafetensorsWriter,
  safeOpen,
  safeOpenSync,
  Tensor,
} from '../src/index.ts';
import { RemoteHeader } from '../src/remote/index.ts';
import { ALL_DTYPES, buildFile, patternBytes, rawFile, tensorBytes } from './support/build.ts';
import { fileMaker } from './support/temporary.ts';
import { DATA_ELEMENTS, expectContents } from './support/values.ts';

const makeFile = fileMaker();

/** `bytes` at an address that is `modulo` more than a multiple of 8. */
function placedAt(
  bytes: Uint8Array,
  modulo: number,
  Buffers = ArrayBuffer as new (
    n: number,
  ) => ArrayBufferLike,
) {
  const target = new Uint8Array(new Buffers(bytes.length + 16), 8 + modulo, bytes.length);
  target.set(bytes);
  return target;
}

const ways: Record<string, (bytes: Buffer) => Promise<Container>> = {
  safeOpen: (bytes) => safeOpen(makeFile(bytes)),
  safeOpenSync: async (bytes) => safeOpenSync(makeFile(bytes)),
  deserialize: async (bytes) => deserialize(placedAt(bytes, 0)),
  'deserialize, of shared memory': async (bytes) =>
    deserialize(placedAt(bytes, 0, SharedArrayBuffer)),
  'deserialize, of a Buffer': async (bytes) =>
    deserialize(Buffer.from(placedAt(bytes, 0).buffer).subarray(8, 8 + bytes.length)),
};

const SHAPE = [2, 3, 4];

function tensorOf(dtype: Dtype, seed = 1) {
  const data = patternBytes(tensorBytes(dtype, SHAPE), seed);
  return { name: dtype, dtype, shape: SHAPE, data };
}

/** Overwrites the first element with all ones. */
function scribble({ data }: Tensor): void {
  new Uint8Array(data.buffer, data.byteOffset, data.BYTES_PER_ELEMENT).fill(0xff);
}

it('knows 22 dtypes', () => {
  expect(ALL_DTYPES.length).toBe(22);
});

describe.each(Object.entries(ways))('%s', (_, open) => {
  describe.each(ALL_DTYPES)('%s', (dtype) => {
    const step = DATA_ELEMENTS[dtype].bytes;
    const source = tensorOf(dtype);

    it.each([0, 1, 2, 3, 4, 5, 6, 7])('%i bytes past a multiple of 8', async (modulo) => {
      const bytes = buildFile([source], { dataStartModulo8: modulo });
      using container = await open(bytes);
      const tensor = container.getTensor(dtype);
      const aligned = modulo % step === 0;
      expect(tensor.name).toBe(dtype);
      expect(tensor.dtype).toBe(dtype);
      expect(tensor.shape).toEqual(SHAPE);
      expect(tensor.size).toBe(24);
      expect(tensor.byteLength).toBe(source.data.length);
      expect(tensor.bytes).toBeInstanceOf(Uint8Array);
      expect(tensor.zeroCopy).toBe(aligned);
      expectContents(tensor, source.data);

      expect(tensor.data).toBe(tensor.data);
      expect(tensor.data.byteLength).toBe(source.data.length);
      expect(tensor.data.buffer === tensor.bytes.buffer).toBe(aligned);
      scribble(tensor);
      // What `bytes` shows of the write is what tells a view from a copy.
      const shown = aligned ? Buffer.alloc(step, 0xff) : Buffer.from(source.data.subarray(0, step));
      expect(Buffer.from(tensor.bytes.subarray(0, step))).toEqual(shown);
      tensor.bytes[source.data.length - 1] ^= 0x55;
      const last = new Uint8Array(tensor.data.buffer, tensor.data.byteOffset).at(
        source.data.length - 1,
      );
      const before = source.data[source.data.length - 1];
      expect(last).toBe(aligned ? before ^ 0x55 : before);
      expect(tensor.zeroCopy).toBe(aligned);
    });
  });

  it('shares memory among the tensors of one name when they are aligned', async () => {
    using container = await open(buildFile([tensorOf('F64')]));
    const [first, second] = [container.getTensor('F64'), container.getTensor('F64')];
    scribble(first);
    expect(second.data[0]).toBeNaN();
    expect(second.bytes[7]).toBe(0xff);
  });

  it('copies a misaligned tensor once for each that is asked for', async () => {
    using container = await open(buildFile([tensorOf('F64')], { dataStartModulo8: 1 }));
    const [first, second] = [container.getTensor('F64'), container.getTensor('F64')];
    expect(first.data.buffer).toBe(first.data.buffer);
    expect(first.data.buffer).not.toBe(second.data.buffer);
    expect(first.data.buffer.byteLength).toBe(first.byteLength);
  });

  it('tells aligned tensors from misaligned ones in one file', async () => {
    const sources = ALL_DTYPES.flatMap((dtype, i) => [
      { ...tensorOf(dtype, i), name: `${dtype} a` },
      { name: `pad ${i}`, dtype: 'U8', shape: [1], data: Uint8Array.of(i) },
      { ...tensorOf(dtype, i + 50), name: `${dtype} b` },
    ]);
    using container = await open(buildFile(sources));
    let begin = 0;
    for (const { name, dtype, data } of sources) {
      const tensor = container.getTensor(name);
      expect(tensor.zeroCopy, name).toBe(begin % DATA_ELEMENTS[dtype as Dtype].bytes === 0);
      expectContents(tensor, data);
      begin += data.length;
    }
    const copies = [...container].filter(([, { zeroCopy }]) => !zeroCopy);
    expect(copies.length).toBeGreaterThan(5);
  });

  it.each([{ shape: [] }, { shape: [1] }, { shape: [1, 1, 1, 1, 1, 1, 1, 1, 1] }])(
    'a tensor of one element: $shape',
    async ({ shape }) => {
      const data = new Uint8Array(new Float64Array([Math.PI]).buffer);
      using container = await open(buildFile([{ name: 'x', dtype: 'F64', shape, data }]));
      const tensor = container.getTensor('x');
      expect(tensor.shape).toEqual(shape);
      expect(tensor.size).toBe(1);
      expect(tensor.data).toEqual(new Float64Array([Math.PI]));
    },
  );

  it.each([0, 3])('tensors of no elements, anywhere, data at %i', async (dataStartModulo8) => {
    const none = new Uint8Array(0);
    const bytes = buildFile(
      [
        { name: 'first', dtype: 'F64', shape: [0], data: none },
        { name: 'x', dtype: 'U8', shape: [3], data: patternBytes(3) },
        { name: 'middle', dtype: 'C64', shape: [3, 0, 2], data: none },
        { name: 'y', dtype: 'U8', shape: [1], data: patternBytes(1) },
        { name: 'last', dtype: 'F4', shape: [0, 2 ** 40], data: none },
      ],
      { dataStartModulo8 },
    );
    using container = await open(bytes);
    expect(container.offsetKeys()).toEqual(['first', 'x', 'middle', 'y', 'last']);
    expect([...container.getTensor('x').bytes, ...container.getTensor('y').bytes]).toHaveLength(4);
    for (const name of ['first', 'middle', 'last']) {
      const tensor = container.getTensor(name);
      expect([tensor.size, tensor.byteLength, tensor.bytes.length]).toEqual([0, 0, 0]);
      expect(tensor.data.length).toBe(0);
      expect(tensor.data.constructor).toBe(DATA_ELEMENTS[tensor.dtype].array);
      // Nothing of a mapping, which would live as long, and which transferring the buffer would empty.
      if (container.backend === 'mmap') expect(tensor.data.buffer.byteLength).toBe(0);
    }
    expect(container.info('last').shape).toEqual([0, 2 ** 40]);
  });

  it('a file of nothing', async () => {
    for (const bytes of [rawFile('{}'), rawFile('{}      '), buildFile([], { metadata: {} })]) {
      using container = await open(bytes);
      expect(container.size).toBe(0);
      expect([...container]).toEqual([]);
      expect(container.keys()).toEqual([]);
      expect(container.byteLength).toBe(bytes.length);
    }
  });

  it('metadata is frozen, and has no prototype', async () => {
    const metadata = { format: 'pt', ['__proto__']: 'p', constructor: 'c', '': '\0' };
    using container = await open(buildFile([tensorOf('F32')], { metadata }));
    expect(Object.getPrototypeOf(container.metadata)).toBeNull();
    expect(Object.isFrozen(container.metadata)).toBe(true);
    expect(Object.entries(container.metadata)).toEqual(Object.entries(metadata));
    expect(container.metadata.toString).toBeUndefined();
    expect(container.metadata).toBe(container.metadata);
  });

  it('no metadata is an empty object', async () => {
    for (const header of ['{}', '{"__metadata__":null}', '{"__metadata__":{}}']) {
      using container = await open(rawFile(header));
      expect(Object.keys(container.metadata)).toEqual([]);
      expect(Object.getPrototypeOf(container.metadata)).toBeNull();
      expect(Object.isFrozen(container.metadata)).toBe(true);
    }
  });

  it('what was given out cannot change what is given out later', async () => {
    using container = await open(buildFile([tensorOf('F32')]));
    const { shape, dataOffsets } = container.info('F32');
    (shape as number[])[0] = 99;
    (dataOffsets as unknown as number[])[0] = 99;
    container.keys()[0] = 'other';
    const tensor = container.getTensor('F32');
    expect(() => {
      (tensor.shape as number[])[0] = 99;
    }).toThrow(TypeError);
    expect(tensor.shape).toEqual(SHAPE);
    expect(container.info('F32')).toEqual({ dtype: 'F32', shape: SHAPE, dataOffsets: [0, 96] });
    expect(container.keys()).toEqual(['F32']);
  });

  it('shows what it is to console.log, without its data', async () => {
    using container = await open(buildFile([tensorOf('BF16')], { metadata: { k: 'v' } }));
    const tensor = container.getTensor('BF16');
    expect(inspect(tensor)).toMatchInlineSnapshot(`
      "Tensor {
        name: 'BF16',
        dtype: 'BF16',
        shape: [ 2, 3, 4 ],
        byteLength: 48,
        zeroCopy: true
      }"
    `);
    expect(inspect([tensor], { depth: 3 })).toContain("name: 'BF16'");
    const shown = inspect(container);
    expect(shown).toMatch(/^Safetensors(File|Memory) \{/);
    expect(shown).toMatch(/size: 1/);
    expect(shown).toContain(`byteLength: ${container.byteLength}`);
    expect(shown).toContain("k: 'v'");
    expect(shown).toContain('closed: false');
    container.close();
    expect(inspect(container)).toContain('closed: true');
    expect(inspect(tensor)).toContain("dtype: 'BF16'");
  });
});

describe('a long name', () => {
  const long = 'é\u{1f600}x'.repeat(20_000);
  const file = buildFile([{ name: long, dtype: 'U8', shape: [1], data: patternBytes(1) }]);

  it('is found, and no other that is as long', () => {
    const container = deserialize(file);
    expect(container.getTensor(long).name).toBe(long);
    for (const other of [`${long}x`, long.slice(1), `X${long.slice(1)}`, `${long.slice(0, -1)}y`]) {
      expect(container.has(other)).toBe(false);
    }
  });

  it('leaves no memory behind, and takes none where no name can be as long', () => {
    const container = deserialize(buildFile([]));
    const before = process.memoryUsage().arrayBuffers;
    expect(container.has('x'.repeat(2 ** 24))).toBe(false);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
  });
});

it('containers and tensors are made by functions alone', () => {
  for (const [Class, maker] of [
    [SafetensorsFile, /^a SafetensorsFile is made by safeOpen/],
    [SafetensorsMemory, /^a SafetensorsMemory is made by deserialize/],
    [SafetensorsModel, /^a SafetensorsModel is made by openModel/],
    [SafetensorsWriter, /^a SafetensorsWriter is made by createWriter/],
    [RemoteHeader, /^a RemoteHeader is made by readRemoteHeader/],
    [Tensor, /^tensors come from containers/],
  ] as const) {
    // The declarations hide what the constructors take.
    const make = Class as unknown as new (...made: unknown[]) => unknown;
    for (const made of [[], [null], [{}, {}]]) {
      expect(() => new make(...made)).toThrow(TypeError);
      expect(() => new make(...made)).toThrow(maker);
    }
  }
});

describe('bytes at an odd place in their buffer', () => {
  it.each([1, 2, 3, 4, 5, 6, 7])('%i: alignment is that of the address', (place) => {
    for (const dataStartModulo8 of [0, 8 - place]) {
      for (const dtype of ALL_DTYPES) {
        const source = tensorOf(dtype);
        const bytes = placedAt(buildFile([source], { dataStartModulo8 }), place);
        const tensor = deserialize(bytes).getTensor(dtype);
        const address = place + dataStartModulo8;
        expect(tensor.zeroCopy).toBe(address % DATA_ELEMENTS[dtype].bytes === 0);
        expect(tensor.bytes.buffer).toBe(bytes.buffer);
        expect(tensor.data.buffer === bytes.buffer).toBe(tensor.zeroCopy);
        expectContents(tensor, source.data);
      }
    }
  });
});

describe('deserialize', () => {
  const bytes = buildFile([tensorOf('I32')]);

  it('shows the caller’s bytes: writes go both ways', () => {
    const own = placedAt(bytes, 0);
    const { data } = deserialize(own).getTensor('I32');
    own.fill(0, own.length - 4);
    expect(data.at(-1)).toBe(0);
    data[23] = -1;
    expect([...own.subarray(-4)]).toEqual([255, 255, 255, 255]);
  });

  it('keeps what it checked when the header is overwritten', () => {
    for (const Buffers of [ArrayBuffer, SharedArrayBuffer]) {
      const own = placedAt(bytes, 0, Buffers);
      const memory = deserialize(own);
      own.fill(0x20, 0, bytes.length - 96);
      expect(memory.keys()).toEqual(['I32']);
      expect(memory.info('I32').shape).toEqual(SHAPE);
      expect(memory.getTensor('I32').bytes.length).toBe(96);
    }
  });

  it('gives views of shared memory', () => {
    const own = placedAt(bytes, 0, SharedArrayBuffer);
    const tensor = deserialize(own).getTensor('I32');
    expect(tensor.data.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(tensor.bytes.buffer).toBe(own.buffer);
  });

  it('gives ordinary memory for a misaligned tensor of shared memory', () => {
    const own = placedAt(bytes, 1, SharedArrayBuffer);
    const { data } = deserialize(own).getTensor('I32');
    expect(data.buffer).toBeInstanceOf(ArrayBuffer);
  });
});

describe('a mapped file', () => {
  it('never changes by a write to data or bytes', async () => {
    const bytes = buildFile(ALL_DTYPES.map((dtype) => tensorOf(dtype)));
    const path = makeFile(bytes);
    {
      using file = await safeOpen(path);
      using other = safeOpenSync(path);
      for (const [name, tensor] of file) {
        tensor.bytes.fill(0xee);
        new Uint8Array(tensor.data.buffer, tensor.data.byteOffset, tensor.data.byteLength).fill(
          0xdd,
        );
        expectContents(other.getTensor(name), tensorOf(tensor.dtype).data);
      }
      expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
      expect(() => file.check()).not.toThrow();
    }
    expect(Buffer.compare(readFileSync(path), bytes)).toBe(0);
  });

  it('frees the copy of a misaligned tensor with the tensor, though the file is open', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage: () => void = runInNewContext('gc');
    using file = safeOpenSync(makeFile(buildFile([tensorOf('F64')], { dataStartModulo8: 1 })));
    const copies = Array.from({ length: 50 }, () => new WeakRef(file.getTensor('F64').data.buffer));
    const kept = file.getTensor('F64');
    const keptCopy = new WeakRef(kept.data.buffer);
    // A turn of the event loop: what a WeakRef was made of lives until then.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    expect(copies.filter((copy) => copy.deref() !== undefined)).toEqual([]);
    expect(keptCopy.deref()).toBe(kept.data.buffer);
  });

  it('loads whole, by names in the header’s order', async () => {
    const sources = [tensorOf('U8'), tensorOf('F16'), tensorOf('I64')];
    const tensors = await loadFile(makeFile(buildFile(sources)));
    expect([...tensors.keys()]).toEqual(['U8', 'F16', 'I64']);
    for (const { name, data } of sources) {
      const tensor = tensors.get(name);
      expect(tensor).toBeDefined();
      if (tensor) expectContents(tensor, data);
    }
  });
});
