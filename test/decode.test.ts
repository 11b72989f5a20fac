import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Container,
  type Dtype,
  deserialize,
  openModel,
  SafetensorsError,
  safeOpen,
  safeOpenSync,
} from '../src/index.ts';
import {
  ALL_DTYPES,
  buildFile,
  DTYPE_BITS,
  patternBytes,
  type TensorSource,
  tensorBytes,
} from './support/build.ts';
import { childReport } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import {
  bitsOf,
  everyPattern,
  fromBase64,
  numberFormats,
  plainNans,
  tensorOf,
} from './support/number-formats.ts';
import { fileMaker } from './support/temporary.ts';

const makeFile = fileMaker();
const DECODED = ALL_DTYPES.filter((dtype) => dtype !== 'C64');
/** Elements for which every dtype fills whole bytes. */
const SHAPE = [5, 8];

function sourceOf(dtype: Dtype, shape: readonly number[] = SHAPE): TensorSource {
  return { name: dtype, dtype, shape, data: patternBytes(tensorBytes(dtype, shape), 3) };
}

describe('every pattern', () => {
  const entries = Object.entries(numberFormats.decode) as [
    Dtype,
    { f32?: string; sha256?: string },
  ][];

  it('is in the tables that Python made', () => {
    expect(entries.length).toBe(10);
  });

  it.each(entries)('of %s is what Python says', (dtype, { f32, sha256 }) => {
    const decoded = plainNans(bitsOf(tensorOf(dtype, everyPattern(dtype)).toFloat32()));
    expect(decoded.length).toBe(2 ** DTYPE_BITS[dtype]);
    if (f32 !== undefined) {
      expect([...decoded]).toEqual([...new Uint32Array(fromBase64(f32).buffer)]);
    } else {
      expect(createHash('sha256').update(decoded).digest('hex')).toBe(sha256);
    }
  });

  // Mantissa bits of the formats that have NaN.
  const MANTISSA: Partial<Record<Dtype, number>> = {
    F16: 10,
    F8_E5M2: 2,
    F8_E4M3: 3,
    F8_E4M3FNUZ: 3,
    F8_E5M2FNUZ: 2,
    F8_E8M0: 0,
  };

  it.each(Object.entries(MANTISSA) as [Dtype, number][])(
    'of %s that is no number keeps its sign and its payload, and is quiet',
    (dtype, mantissa) => {
      const bits = bitsOf(tensorOf(dtype, everyPattern(dtype)).toFloat32());
      let seen = 0;
      for (const [pattern, value] of bits.entries()) {
        if ((value & 0x7fffffff) <= 0x7f800000) continue;
        seen++;
        const sign = dtype === 'F8_E8M0' ? 0 : pattern >> (DTYPE_BITS[dtype] - 1);
        const payload = pattern & (2 ** mantissa - 1);
        const expected = (sign * 2 ** 31 + (0x7fc00000 | (payload << (23 - mantissa)))) >>> 0;
        expect(value, `pattern ${pattern}`).toBe(expected);
      }
      expect(seen).toBeGreaterThan(0);
    },
  );

  it('of BF16 keeps all of its bits', () => {
    const bits = bitsOf(tensorOf('BF16', everyPattern('BF16')).toFloat32());
    expect(bits.every((value, pattern) => value === pattern * 2 ** 16)).toBe(true);
  });
});

describe('numbers that JavaScript has', () => {
  type Numbers = { length: number; buffer: ArrayBufferLike } & Iterable<number | bigint>;
  const cases: [Dtype, fc.Arbitrary<Numbers>, (value: number | bigint) => number][] = [
    ['I8', fc.int8Array(), Number],
    ['U8', fc.uint8Array(), Number],
    ['I16', fc.int16Array(), Number],
    ['U16', fc.uint16Array(), Number],
    ['I32', fc.int32Array(), (value) => Math.fround(Number(value))],
    ['U32', fc.uint32Array(), (value) => Math.fround(Number(value))],
    ['F32', fc.float32Array(), Number],
    ['F64', fc.float64Array(), (value) => Math.fround(Number(value))],
    ['I64', fc.bigInt64Array(), nearest],
    ['U64', fc.bigUint64Array(), nearest],
    ['BOOL', fc.uint8Array(), (value) => (value === 0 ? 0 : 1)],
  ];

  /** The F32 nearest to an integer: rounding it to an F64 first could round it twice. */
  function nearest(value: number | bigint): number {
    const exact = BigInt(value);
    const magnitude = exact < 0n ? -exact : exact;
    const drop = BigInt(Math.max(0, magnitude.toString(2).length - 24));
    const half = drop > 0n ? 1n << (drop - 1n) : 0n;
    const odd = (magnitude >> drop) & 1n;
    const rounded = drop > 0n ? ((magnitude + half - 1n + odd) >> drop) << drop : magnitude;
    return Number(exact < 0n ? -rounded : rounded);
  }

  it.each(cases)('%s', (dtype, arrays, expected) => {
    fc.assert(
      fc.property(arrays, (values) => {
        const decoded = tensorOf(dtype, new Uint8Array(values.buffer)).toFloat32();
        expect([...decoded]).toEqual(Array.from(values, expected));
      }),
    );
  });

  it.each([
    ['I64', [2n ** 24n + 1n, 2n ** 54n + 2n ** 30n + 1n, -(2n ** 63n), 2n ** 63n - 1n]],
    ['U64', [2n ** 63n + 2n ** 39n, 2n ** 63n + 2n ** 39n + 1n, 2n ** 64n - 1n, 2n ** 63n]],
  ] as [Dtype, bigint[]][])('%s is rounded once', (dtype, values) => {
    const words = BigUint64Array.from(values, (value) => BigInt.asUintN(64, value));
    const decoded = tensorOf(dtype, new Uint8Array(words.buffer)).toFloat32();
    expect([...decoded]).toEqual(values.map(nearest));
  });
});

const MISALIGNED = { dataStartModulo8: 5 };

const ways: Record<string, () => Promise<Container>> = {
  'a mapped file': () => safeOpen(makeFile(buildFile(DECODED.map((dtype) => sourceOf(dtype))))),
  'a misaligned mapped file': () =>
    safeOpen(
      makeFile(
        buildFile(
          DECODED.map((dtype) => sourceOf(dtype)),
          MISALIGNED,
        ),
      ),
    ),
  'a model': () => openModel(makeFile(buildFile(DECODED.map((dtype) => sourceOf(dtype))))),
  memory: async () => deserialize(buildFile(DECODED.map((dtype) => sourceOf(dtype)))),
  'misaligned memory': async () =>
    deserialize(
      buildFile(
        DECODED.map((dtype) => sourceOf(dtype)),
        MISALIGNED,
      ),
    ),
  'shared memory': async () => {
    const bytes = buildFile(DECODED.map((dtype) => sourceOf(dtype)));
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    return deserialize(shared);
  },
};

describe.each(Object.entries(ways))('from %s', (_, open) => {
  it.each(DECODED)('%s', async (dtype) => {
    using container = await open();
    const tensor = container.getTensor(dtype);
    const expected = tensorOf(dtype, sourceOf(dtype).data).toFloat32();
    const decoded = tensor.toFloat32();
    expect(decoded).toBeInstanceOf(Float32Array);
    expect([...bitsOf(decoded)]).toEqual([...bitsOf(expected)]);
    expect([...bitsOf(await tensor.toFloat32Async())]).toEqual([...bitsOf(expected)]);
  });

  it('does what the tensor of a closed container can: nothing', async () => {
    const container = await open();
    const tensor = container.getTensor('BF16');
    container.close();
    for (const decode of [() => tensor.toFloat32(), () => tensor.toFloat32Async()]) {
      expect((await thrownBy(decode)).code).toBe('ERR_SAFETENSORS_CLOSED');
    }
  });
});

describe('out', () => {
  const tensor = tensorOf('BF16', patternBytes(2 * 40));
  const expected = bitsOf(tensor.toFloat32());

  it('is filled and returned', async () => {
    const out = new Float32Array(40);
    expect(tensor.toFloat32(out)).toBe(out);
    expect([...bitsOf(out)]).toEqual([...expected]);
    out.fill(0);
    expect(await tensor.toFloat32Async(out)).toBe(out);
    expect([...bitsOf(out)]).toEqual([...expected]);
  });

  it('may be a part of another array, or in shared memory', async () => {
    const shared = new Float32Array(new SharedArrayBuffer(4 * 50), 4 * 3, 40);
    const part = new Float32Array(50).subarray(7, 47);
    for (const out of [shared, part]) {
      await tensor.toFloat32Async(out);
      expect([...bitsOf(out)]).toEqual([...expected]);
    }
    expect([...new Float32Array(part.buffer)].filter((_, i) => i < 7 || i >= 47)).toEqual(
      new Array(10).fill(0),
    );
  });

  it.each([
    ['another length', new Float32Array(41), RangeError, /^out: expected 40 elements, found 41$/],
    ['a plain array', new Array(40).fill(0), TypeError, /^out: expected a Float32Array, found/],
    ['a Float64Array', new Float64Array(40), TypeError, /^out: expected a Float32Array, found/],
    ['null', null, TypeError, /^out: expected a Float32Array, found null$/],
  ])('is not %s', async (_, out, Failure, message) => {
    for (const decode of [
      () => tensor.toFloat32(out as Float32Array),
      () => tensor.toFloat32Async(out as Float32Array),
    ]) {
      const error = await thrownBy(decode);
      expect(error).toBeInstanceOf(Failure);
      expect(error.message).toMatch(message);
    }
  });

  it('has memory that stays, while other threads write to it', async () => {
    const Resizable = ArrayBuffer as new (length: number, options: object) => ArrayBuffer;
    const out = new Float32Array(new Resizable(160, { maxByteLength: 320 }), 0, 40);
    const error = await thrownBy(() => tensor.toFloat32Async(out));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/^out: expected memory of a fixed length/);
    expect([...bitsOf(tensor.toFloat32(out))]).toEqual([...expected]);
  });

  it('is apart from the tensor', async () => {
    const file = buildFile([sourceOf('F32', [16])]);
    const memory = new Uint8Array(new ArrayBuffer(file.length));
    memory.set(file);
    const own = deserialize(memory).getTensor('F32');
    const error = await thrownBy(() => own.toFloat32(own.data as Float32Array));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/^out: expected memory apart/);
  });

  it('may be another tensor of the same file', () => {
    using file = safeOpenSync(makeFile(buildFile([sourceOf('F32', [40]), sourceOf('BF16')])));
    const target = file.getTensor('F32').data as Float32Array;
    file.getTensor('BF16').toFloat32(target);
    const { data } = sourceOf('BF16');
    expect([...bitsOf(target)]).toEqual([...bitsOf(tensorOf('BF16', data).toFloat32())]);
  });
});

it('has no F32 of complex numbers', async () => {
  using file = safeOpenSync(makeFile(buildFile([sourceOf('C64')])));
  const tensor = file.getTensor('C64');
  for (const decode of [() => tensor.toFloat32(), () => tensor.toFloat32Async()]) {
    const error = await thrownBy(decode);
    expect(error).toBeInstanceOf(SafetensorsError);
    expect(error.code).toBe('ERR_SAFETENSORS_UNSUPPORTED_DTYPE');
    expect(error.tensor).toBe('C64');
    expect(error.path).toBe(file.path);
  }
});

it('decodes tensors without elements, and scalars', async () => {
  for (const dtype of DECODED) {
    const empty = tensorOf(dtype, new Uint8Array(0), [3, 0]);
    expect(empty.toFloat32()).toEqual(new Float32Array(0));
    expect(await empty.toFloat32Async()).toEqual(new Float32Array(0));
  }
  expect([...tensorOf('BF16', Uint8Array.of(0x80, 0x3f), []).toFloat32()]).toEqual([1]);
});

/** Compared as bits, and faster than by Vitest. */
function same(a: Float32Array, b: Float32Array): boolean {
  return Buffer.compare(new Uint8Array(a.buffer), new Uint8Array(b.buffer)) === 0;
}

it.runIf(process.platform === 'linux')('FILE_CHANGED: pages that are lost', async () => {
  const rows = 2 ** 14;
  const data = new Uint8Array(16 * rows);
  const path = makeFile(
    buildFile([
      { name: 'start', dtype: 'U8', shape: [2 ** 20], data: new Uint8Array(2 ** 20) },
      { name: 'x', dtype: 'F8_E4M3', shape: [rows, 16], data },
      { name: 'blocks', dtype: 'U8', shape: [rows, 16], data },
    ]),
  );
  const codes = await childReport<string[]>('decode-of-cut-file', [path]);
  expect(codes).toEqual(new Array(4).fill('ERR_SAFETENSORS_FILE_CHANGED'));
});

describe('toFloat32Async', () => {
  /** Several pieces, and a part of one. */
  const LENGTH = 5 * 2 ** 20 + 24;
  const bytes = patternBytes(LENGTH, 9);
  const path = makeFile(buildFile([{ name: 'x', dtype: 'F8_E4M3', shape: [LENGTH], data: bytes }]));

  it('does in pieces what toFloat32 does', async () => {
    using file = safeOpenSync(path);
    const tensor = file.getTensor('x');
    const out = new Float32Array(LENGTH).fill(7);
    await tensor.toFloat32Async(out);
    expect(same(out, tensor.toFloat32())).toBe(true);
  });

  it('leaves the event loop alone', async () => {
    using file = safeOpenSync(path);
    let turns = 0;
    const timer = setInterval(() => turns++, 0);
    const tensor = file.getTensor('x');
    const out = new Float32Array(LENGTH);
    for (let round = 0; round < 8; round++) await tensor.toFloat32Async(out);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
  });

  it.each([
    ['before', 0, new Error('enough')],
    ['while it works', 1, new Error('enough')],
    ['with null', 1, null],
  ])('is rejected with the reason of a signal that is aborted %s', async (_, turns, reason) => {
    using file = safeOpenSync(path);
    const controller = new AbortController();
    const { signal } = controller;
    const out = new Float32Array(LENGTH).fill(7);
    if (turns === 0) controller.abort(reason);
    const promise = file.getTensor('x').toFloat32Async(out, { signal });
    if (turns > 0) controller.abort(reason);
    await expect(promise).rejects.toBe(reason);
    // No piece was begun after that.
    expect(out.at(-1)).toBe(7);
  });

  it('is rejected, and nothing else happens, when the file is closed meanwhile', async () => {
    const file = safeOpenSync(path);
    const promise = file.getTensor('x').toFloat32Async();
    file.close();
    expect((await thrownBy(() => promise)).code).toBe('ERR_SAFETENSORS_CLOSED');
  });

  it('works on, or stops, when the file is closed meanwhile: in a process that lives', async () => {
    const { decoded, closed } = await childReport<{ decoded: number; closed: number }>(
      'close-while-decoding',
      [makeFile(new Uint8Array(0)), '40'],
    );
    expect(decoded + closed).toBe(80);
    expect(closed).toBeGreaterThan(10);
  });

  it('works with memory that stays, when that is taken away meanwhile', async () => {
    const length = 2 ** 22;
    const large = makeFile(
      buildFile([{ name: 'x', dtype: 'F32', shape: [length], data: new Uint8Array(4 * length) }]),
    );
    const outcomes = await childReport<Record<string, string[]>>('take-memory-while-decoding', [
      large,
    ]);
    expect(Object.keys(outcomes)).toEqual(['values', 'a slice', 'out', 'weight', 'shrunk']);
    for (const names of Object.values(outcomes)) {
      expect(['done', 'TypeError']).toEqual(expect.arrayContaining(names));
    }
  });

  it('is rejected when the memory of `out` is moved meanwhile', async () => {
    using file = safeOpenSync(path);
    const out = new Float32Array(LENGTH);
    const promise = file.getTensor('x').toFloat32Async(out);
    const moved = structuredClone(out.buffer, { transfer: [out.buffer] });
    const error = await thrownBy(() => promise);
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/^out: expected \d+ elements until all are written/);
    expect(moved.byteLength).toBe(4 * LENGTH);
  });

  it.each([
    [null, /^options: expected an object/],
    [{ signal: 1 }, /^signal: expected an AbortSignal, found 1$/],
  ])('does not take %s for options', async (options, message) => {
    using file = safeOpenSync(path);
    const error = await thrownBy(() =>
      file.getTensor('x').toFloat32Async(undefined, options as object),
    );
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(message);
  });
});
