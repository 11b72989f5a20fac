import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import {
  type Dtype,
  deserialize,
  type SerializeOptions,
  safeOpenSync,
  saveFile,
  serialize,
  type TensorLike,
  type TensorsLike,
} from '../src/index.ts';
import { ALL_DTYPES, buildFile, patternBytes, tensorBytes } from './support/build.ts';
import { thrownBy } from './support/errors.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';
import { DATA_ELEMENTS, expectContents } from './support/values.ts';

const makeFile = fileMaker();
const root = temporaryFolder();

const one = { dtype: 'U8', shape: [1], data: new Uint8Array([7]) } as const;

/** The header of a file, its padding included. */
function headerOf(file: Uint8Array): string {
  const bytes = Buffer.from(file);
  return bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE()));
}

describe('many tensors', () => {
  const COUNT = 20_000;
  /** Each number below COUNT once, in no order. */
  const shuffled = Array.from({ length: COUNT }, (_, i) => (i * 7919) % COUNT);
  const named = (nameOf: (i: number) => string) =>
    shuffled.map((i): [string, TensorLike] => [
      nameOf(i),
      i % 3 === 0 ? { dtype: 'F32', shape: [1], data: Float32Array.of(i) } : one,
    ]);

  it.each([
    ['ASCII', (i: number) => `layers.${i}.weight`],
    ['any of Unicode', (i: number) => `${['a', 'ä', '\uff01', '\u{1f600}'][i % 4]}"${i}`],
  ])('are in the order of dtypes and bytes of names: %s', (_, nameOf) => {
    const tensors = named(nameOf);
    const bytes = new Map(tensors.map(([name]) => [name, Buffer.from(name)]));
    const inOrder = (dtype: Dtype) =>
      tensors
        .filter(([, tensor]) => tensor.dtype === dtype)
        .map(([name]) => name)
        .sort((a, b) => Buffer.compare(bytes.get(a) as Buffer, bytes.get(b) as Buffer));
    const file = serialize(tensors);
    expect(Object.keys(JSON.parse(headerOf(file)))).toEqual([...inOrder('F32'), ...inOrder('U8')]);
    const read = deserialize(file);
    for (const [name, { data }] of tensors) {
      expect(read.getTensor(name).data.toString()).toBe(data.toString());
    }
    // Those in order are written alike.
    expect(Buffer.compare(serialize(read), file)).toBe(0);
  });

  it('are refused when one comes again much later', async () => {
    const tensors = named(String);
    const error = await thrownBy(() => serialize([...tensors, tensors[0]]));
    expect(error.message).toMatch(/each name once, found "0" twice/);
  });
});

describe('tensors', () => {
  const pairs: [string, TensorLike][] = [
    ['b', one],
    ['a', { dtype: 'F32', shape: [], data: new Float32Array([1]) }],
  ];
  const expected =
    '{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},' +
    '"b":{"dtype":"U8","shape":[1],"data_offsets":[4,5]}}';

  const forms: [string, TensorsLike][] = [
    ['a Map', new Map(pairs)],
    ['an object', Object.fromEntries(pairs)],
    [
      'an object without a prototype',
      Object.assign(Object.create(null), Object.fromEntries(pairs)),
    ],
    ['an array of pairs', pairs],
    [
      'a generator',
      (function* () {
        yield* pairs;
      })(),
    ],
    ['a container', deserialize(serialize(pairs))],
    ['a Map of another realm', runInNewContext('new Map(pairs)', { pairs })],
  ];
  it.each(forms)('may come as %s', (_, tensors) => {
    expect(headerOf(serialize(tensors)).trimEnd()).toBe(expected);
  });

  it.each(ALL_DTYPES)('of %s: raw bytes and arrays of their own kind', (dtype) => {
    const bytes = patternBytes(tensorBytes(dtype, [4]));
    const { array: Own, bytes: step } = DATA_ELEMENTS[dtype];
    const own = new Own(bytes.length / step);
    new Uint8Array(own.buffer).set(bytes);
    const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
    shared.set(bytes);
    const odd = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3);
    for (const data of [bytes, odd, shared, new DataView(bytes.buffer), own]) {
      const file = serialize({ t: { dtype, shape: [4], data } });
      expectContents(deserialize(file).getTensor('t'), bytes);
    }
  });

  it.each(ALL_DTYPES)(
    'of %s: arrays of few bytes, which are copied, and of more',
    async (dtype) => {
      const { array: Own, bytes: step } = DATA_ELEMENTS[dtype];
      const arrayOf = (bytes: Uint8Array, offset: number) => {
        const buffer = new ArrayBuffer(offset + bytes.length);
        new Uint8Array(buffer, offset).set(bytes);
        return Reflect.construct(Own, [buffer, offset, bytes.length / step]) as ArrayBufferView;
      };
      // NaNs of all kinds are among the bytes. 8 × 8 bytes are the most that are copied.
      const tensors = Array.from({ length: 40 }, (_, i) => {
        const shape = [8, 1 + (i % 11)];
        const bytes = patternBytes(tensorBytes(dtype, shape), i);
        if (i % 3 === 0) bytes.fill(0xff);
        const name = `t${String(i).padStart(2, '0')}`;
        return { name, shape, bytes, data: arrayOf(bytes, i % 5 === 0 ? 8 : 0) };
      });
      const named = Object.fromEntries(
        tensors.map(({ name, shape, data }) => [name, { dtype, shape, data }]),
      );
      const path = join(root, `${dtype}.safetensors`);
      await saveFile(named, path, { fsync: false });
      expect(readFileSync(path)).toEqual(Buffer.from(serialize(named)));
      const file = deserialize(readFileSync(path));
      for (const { name, bytes } of tensors) expectContents(file.getTensor(name), bytes);
    },
  );

  it('without bytes, of a buffer that was moved', async () => {
    const data = new Float32Array(0);
    structuredClone(data.buffer, { transfer: [data.buffer] });
    const tensors = { a: { dtype: 'F32', shape: [0], data } } as const;
    const path = join(root, 'moved.safetensors');
    await saveFile(tensors, path, { fsync: false });
    expect(readFileSync(path)).toEqual(Buffer.from(serialize(tensors)));
  });

  it('of an array of another kind than it says: its bytes', () => {
    class Bits extends Uint32Array {
      override get [Symbol.toStringTag]() {
        return 'Float32Array' as never;
      }
    }
    const data = Bits.of(1, 0x7fc00001);
    const file = serialize({ a: { dtype: 'F32', shape: [2], data } });
    expectContents(deserialize(file).getTensor('a'), new Uint8Array(data.buffer));
  });

  it('of F16: a Float16Array', ({ skip }) => {
    const Float16Array = Reflect.get(globalThis, 'Float16Array');
    if (Float16Array === undefined) {
      console.warn(`LEFT OUT: Float16Array. Node ${process.version} has none; 24 has`);
      skip();
    }
    const file = serialize({ t: { dtype: 'F16', shape: [2], data: new Float16Array([1, -2]) } });
    expect([...deserialize(file).getTensor('t').bytes]).toEqual([0, 0x3c, 0, 0xc0]);
  });

  it('of a mapped file, misaligned ones without a copy', () => {
    const tensors = [
      { name: 'pad', dtype: 'U8', shape: [1], data: patternBytes(1) },
      { name: 'odd', dtype: 'F64', shape: [3], data: patternBytes(24, 2) },
    ];
    using file = safeOpenSync(makeFile(buildFile(tensors, { metadata: { k: 'v' } })));
    const again = deserialize(serialize(file, { metadata: file.metadata }));
    expect({ ...again.metadata }).toEqual({ k: 'v' });
    for (const { name, data } of tensors) expectContents(again.getTensor(name), data);
    expect(again.getTensor('odd').zeroCopy).toBe(true);
  });

  it('are taken as they were when they were given', () => {
    const shape = [1];
    const tensor = { dtype: 'U8' as Dtype, shape, data: new Uint8Array(1) };
    const changing = (function* (): Generator<[string, typeof tensor]> {
      yield ['a', tensor];
      shape[0] = 2;
      tensor.dtype = 'I8';
      tensor.data = new Uint8Array(2);
      yield ['b', tensor];
    })();
    expect(headerOf(serialize(changing)).trimEnd()).toBe(
      '{"b":{"dtype":"I8","shape":[2],"data_offsets":[0,2]},' +
        '"a":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}',
    );
  });
});

describe('tensors of a Map or an object', () => {
  it('are what is in it, whatever its iterator or a getter of it does', () => {
    class Repeating extends Map<string, TensorLike> {
      override *[Symbol.iterator](): MapIterator<[string, TensorLike]> {
        for (let i = 0; i < 2; i++) yield* super.entries();
      }
    }
    const removing = {
      get a() {
        Reflect.deleteProperty(removing, 'b');
        return one;
      },
      b: one,
    };
    expect(deserialize(serialize(new Repeating([['a', one]]))).keys()).toEqual(['a']);
    expect(() => serialize(removing)).toThrow(/"b": expected an object .* found undefined/);
  });
});

describe('options', () => {
  it('metadata keeps the order of the caller', () => {
    const metadata = new Map([
      ['z', '1'],
      ['10', '2'],
      ['9', '3'],
      ['__proto__', '4'],
    ]);
    const text = '{"__metadata__":{"z":"1","10":"2","9":"3","__proto__":"4"}}';
    expect(headerOf(serialize([], { metadata })).trimEnd()).toBe(text);
    const file = serialize({ one }, { metadata });
    expect(Object.entries(deserialize(file).metadata).length).toBe(4);
    expect(headerOf(serialize([], { metadata: {} })).trimEnd()).toBe('{"__metadata__":{}}');
    expect(headerOf(serialize([], { metadata: undefined })).trimEnd()).toBe('{}');
  });

  it.each([8, 16, 24, 4096, 2 ** 20])('alignment: %i', (alignment) => {
    const file = serialize({ one }, { alignment });
    expect((8 + headerOf(file).length) % alignment).toBe(0);
    expect([...deserialize(file).getTensor('one').bytes]).toEqual([7]);
  });

  it.each([0, 1, 100, 5000])('headerPadding: %i', (headerPadding) => {
    for (const metadata of [undefined, {}, { k: 'v' }]) {
      const least = headerOf(serialize({ one }, { metadata })).trimEnd().length;
      const file = serialize({ one }, { metadata, headerPadding });
      expect(headerOf(file).length).toBeGreaterThanOrEqual(least + headerPadding);
      expect(headerOf(file).length % 8).toBe(0);
      expect({ ...deserialize(file).metadata }).toEqual({ ...metadata });
      expect([...deserialize(file).getTensor('one').bytes]).toEqual([7]);
    }
  });
});

describe('refuses', () => {
  const LONE = '\ud800';
  const bad = (change: object) => ({ t: { ...one, ...change } });
  const u8 = new Uint8Array(1);
  const tensors: [string, unknown, typeof TypeError, RegExp][] = [
    ['no tensors', null, TypeError, /tensors: expected a Map.*found null/],
    ['text', 'ab', TypeError, /tensors: expected a Map/],
    ['an array of tensors', [one], TypeError, /\[name, value\] pairs/],
    ['bytes', u8, TypeError, /tensors: expected a Map/],
    ['a name that is no string', [[1, one]], TypeError, /name: expected a string, found 1/],
    [
      'a name twice',
      [
        ['a', one],
        ['a', one],
      ],
      RangeError,
      /each name once, found "a" twice/,
    ],
    ['__metadata__ as a name', [['__metadata__', one]], RangeError, /found __metadata__/],
    ['a lone surrogate in a name', { [LONE]: one }, RangeError, /lone surrogate/],
    ['no tensor', { t: undefined }, TypeError, /tensor "t": expected an object/],
    ['no dtype', bad({ dtype: undefined }), TypeError, /dtype: expected one of BOOL/],
    ['an unknown dtype', bad({ dtype: 'f32' }), RangeError, /found 'f32'/],
    ['no shape', bad({ shape: undefined }), TypeError, /shape: expected an array/],
    ['a shape of text', bad({ shape: ['1'] }), TypeError, /shape: expected numbers/],
    ['a hole in a shape', bad({ shape: new Array(1) }), TypeError, /shape: expected numbers/],
    ['a fraction', bad({ shape: [0.5] }), RangeError, /shape: expected integers/],
    ['a negative dimension', bad({ shape: [-1] }), RangeError, /found -1/],
    ['a dimension over 2^53', bad({ shape: [2 ** 53] }), RangeError, /shape: expected integers/],
    ['an overflow', bad({ shape: [2 ** 40, 2 ** 40] }), RangeError, /at most 2\^53 − 1 bytes/],
    ['bytes over 2^53', bad({ shape: [2 ** 51], dtype: 'F64' }), RangeError, /at most 2\^53/],
    ['half a byte', bad({ dtype: 'F4' }), RangeError, /whole bytes of F4/],
    ['three quarters', bad({ dtype: 'F6_E2M3', shape: [3] }), RangeError, /whole bytes of F6_E2M3/],
    ['no data', bad({ data: undefined }), TypeError, /data: expected a typed array/],
    ['an ArrayBuffer', bad({ data: u8.buffer }), TypeError, /data: expected a typed array/],
    ['an array', bad({ data: [1] }), TypeError, /data: expected a typed array/],
    ['too few bytes', bad({ shape: [2] }), RangeError, /expected 2 bytes for U8.*\[2\], found 1/],
    ['too many bytes', bad({ shape: [0] }), RangeError, /expected 0 bytes for U8.*, found 1/],
    ['another kind', bad({ data: new Int8Array(1) }), TypeError, /for U8, found Int8Array/],
    ['clamped bytes', bad({ data: new Uint8ClampedArray(1) }), TypeError, /Uint8ClampedArray/],
    [
      'floats as integers',
      { t: { dtype: 'I32', shape: [1], data: new Float32Array(1) } },
      TypeError,
      /expected Int32Array, or raw bytes .* for I32, found Float32Array/,
    ],
  ];
  it.each(tensors)('%s', async (_, value, Failure, message) => {
    const error = await thrownBy(() => serialize(value as TensorsLike));
    expect(error).toBeInstanceOf(Failure);
    expect(error.message).toMatch(message);
  });

  const options: [string, unknown, typeof TypeError, RegExp][] = [
    ['no options', null, TypeError, /options: expected an object/],
    ['metadata of null', { metadata: null }, TypeError, /metadata: expected an object/],
    ['metadata of text', { metadata: 'pt' }, TypeError, /metadata: expected an object/],
    ['metadata of lists', { metadata: ['pt'] }, TypeError, /metadata: expected an object/],
    ['a number', { metadata: { n: 1 } }, TypeError, /value of 'n': expected a string, found 1/],
    ['a key', { metadata: new Map([[1, '1']]) }, TypeError, /a key: expected a string/],
    ['a lone surrogate', { metadata: { k: LONE } }, RangeError, /lone surrogate/],
    ['one in a key', { metadata: { [LONE]: '' } }, RangeError, /lone surrogate/],
    ['alignment of 12', { alignment: 12 }, RangeError, /multiple of 8, found 12/],
    ['alignment of 0', { alignment: 0 }, RangeError, /alignment: expected an integer/],
    ['alignment of text', { alignment: '8' }, TypeError, /alignment: expected a number/],
    [
      'headerPadding of −1',
      { headerPadding: -1 },
      RangeError,
      /headerPadding: expected an integer/,
    ],
    ['headerPadding of 1.5', { headerPadding: 1.5 }, RangeError, /found 1.5/],
  ];
  it.each(options)('options: %s', async (_, value, Failure, message) => {
    const error = await thrownBy(() => serialize({ one }, value as SerializeOptions));
    expect(error).toBeInstanceOf(Failure);
    expect(error.message).toMatch(message);
  });

  const MOST = 100_000_000;
  it('a header over 100,000,000 bytes, however it gets there', async () => {
    const rest = headerOf(serialize([['', one]])).trimEnd().length;
    const longest = serialize([['n'.repeat(MOST - rest), one]]);
    expect(longest.length).toBe(8 + MOST + 1);
    const ways: [TensorsLike, SerializeOptions?][] = [
      [[['n'.repeat(MOST - rest + 1), one]]],
      [[['é'.repeat(MOST / 2), one]]],
      [[['\0'.repeat(MOST / 6), one]]],
      [[['\0'.repeat(2 ** 27), one]]],
      [{}, { metadata: { k: 'v'.repeat(MOST) } }],
      [{}, { headerPadding: MOST }],
      [[['n'.repeat(64), one]], { headerPadding: MOST - 32 }],
    ];
    for (const [tensors, options] of ways) {
      const error = await thrownBy(() => serialize(tensors, options));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toMatch(/header: expected at most 100000000 bytes/);
    }
    expect(serialize({ one }, { alignment: MOST }).length).toBe(MOST + 1);
  }, 60_000);

  it('a tensor whose container has been closed', async () => {
    const file = safeOpenSync(makeFile(Buffer.from(serialize({ one }))));
    const tensor = file.getTensor('one');
    file.close();
    for (const tensors of [file, { tensor }]) {
      expect((await thrownBy(() => serialize(tensors))).code).toBe('ERR_SAFETENSORS_CLOSED');
    }
  });

  it('what an iterable throws', async () => {
    const failing = (function* (): Generator<[string, typeof one]> {
      yield ['a', one];
      throw new Error('no more');
    })();
    expect((await thrownBy(() => serialize(failing))).message).toBe('no more');
  });
});
