import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ConvertOptions, convertCheckpoint, scanCheckpoint } from '../src/convert/index.ts';
import { SafetensorsError, safeOpenSync } from '../src/index.ts';
import { gguf, header, npy, npz, string, u32, u64, value } from './support/arrays.ts';
import { EVIL, pickle, py, zip } from './support/checkpoints.ts';
import { runCli } from './support/cli.ts';
import { thrownBy } from './support/errors.ts';
import { rounds } from './support/rounds.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();
const folder = temporaryFolder();
let outputs = 0;
const output = () => join(folder, `${outputs++}.safetensors`);

const FOUR = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);
const F4 = header("'<f4'", '(4,)');

async function converted(bytes: Buffer, options?: ConvertOptions) {
  const target = output();
  const { files } = await convertCheckpoint(makeFile(bytes, 'model.bin'), target, options);
  return { file: files[0], tensors: safeOpenSync(target) };
}

async function refusal(bytes: Buffer, options?: ConvertOptions) {
  const path = makeFile(bytes, 'model.bin');
  const target = output();
  const error = await thrownBy(() => convertCheckpoint(path, target, options));
  expect(existsSync(target), 'nothing is written').toBe(false);
  return error;
}

/** A record of a zip file that is compressed; `change` is what its headers say wrongly. */
function deflated(
  name: string,
  data: Buffer,
  change: { size?: number; crc?: number; packed?: Buffer } = {},
): Buffer {
  const { packed = deflateRawSync(data), size = data.length, crc = crc32(data) } = change;
  return zip([{ name, data: packed }], ({ locals, central }) => {
    for (const [header, at] of [
      [locals[0], 0],
      [central[0], 2],
    ] as const) {
      header.writeUInt16LE(8, at + 8);
      header.writeUInt32LE(crc, at + 14);
      header.writeUInt32LE(size, at + 22);
    }
  });
}

describe('arrays of numpy', () => {
  it('become tensors, in whatever order their elements are', async () => {
    const fortran = npy(
      header("'>i2'", '(2, 3)', true),
      Buffer.of(0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6),
    );
    const { tensors, file } = await converted(fortran);
    expect([...tensors.keys()]).toEqual(['tensor']);
    expect(tensors.getTensor('tensor')).toMatchObject({ dtype: 'I16', shape: [2, 3] });
    expect([...tensors.getTensor('tensor').data]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(tensors.metadata).toEqual({ format: 'np' });
    expect(file).toMatchObject({ key: '', others: [], skipped: [], byteLength: 12 });
  });

  it('may be written by Python 2', async () => {
    const { tensors } = await converted(npy(header("'<f4'", '(2L, 2L)'), FOUR));
    expect(tensors.info('tensor').shape).toEqual([2, 2]);
  });

  it('are inflated, rounded and renamed', async () => {
    const many = Float32Array.from({ length: 3_000_000 }, (_, i) => i % 7);
    const bytes = npy(header("'<f4'", '(1500, 2000)', true), Buffer.from(many.buffer));
    const { tensors } = await converted(deflated('model.w.npy', bytes), {
      dtype: 'BF16',
      stripPrefix: 'model.',
      metadata: { format: 'pt' },
    });
    expect(tensors.metadata).toEqual({ format: 'pt' });
    const { shape, size } = tensors.getTensor('w');
    expect(shape).toEqual([1500, 2000]);
    const values = tensors.getTensor('w').toFloat32();
    for (let at = 0; at < size; at += 997) {
      const [row, column] = [Math.floor(at / 2000), at % 2000];
      expect(values[at]).toBe((row + column * 1500) % 7);
    }
  });

  it('that safetensors has no dtype for are named, or left out', async () => {
    const objects = npy(header("'|O'", '(1,)'), Buffer.from('cos\nsystem\n(S"touch /tmp/x"\ntR.'));
    const file = npz(
      { name: 'w.npy', data: npy(F4, FOUR) },
      { name: 'o.npy', data: objects },
      { name: 'v.npy', data: npy(header("'<V2'", '(2,)'), Buffer.alloc(4)) },
      { name: 's.npy', data: npy(header("[('a', '<f4'), ('it\\'s', '<i4')]", '(2,)'), FOUR) },
    );
    const error = await refusal(file);
    expect(error).toBeInstanceOf(SafetensorsError);
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_UNSUPPORTED_TENSOR', tensor: 'o' });
    expect(error.message).toMatch(
      /dtype "\|O": Python objects.*\("o"\).*dtype "<V2": raw bytes.*bfloat16.*\("v"\).*structured.*\("s"\)/,
    );
    const { file: done, tensors } = await converted(file, { skipUnknown: true });
    expect([...tensors.keys()]).toEqual(['w']);
    expect(done.skipped.length).toBe(3);
    expect(done.skipped[0]).toMatch(/^"o" \(dtype "\|O": Python objects/);
  });

  it.each([
    "'|S4'",
    "'<U4'",
    "'<M8[s]'",
    "'<m8[ns]'",
    "'<c16'",
    "'<f16'",
    "'|V7'",
    "('<f4', (2,))",
  ])('of dtype %s are refused', async (descr) => {
    const error = await refusal(npy(header(descr, '(1,)'), Buffer.alloc(16)));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_UNSUPPORTED_TENSOR', tensor: 'tensor' });
  });

  const text = (change: string) => npy(change, FOUR);
  const W = npy(F4, FOUR);
  const stored = (data: Buffer, change?: Parameters<typeof zip>[1]) =>
    zip([{ name: 'w.npy', data }], change);
  it.each<[string, Buffer, RegExp, string?]>([
    ['nothing but how it begins', Buffer.from('\x93NUM', 'latin1'), /ends within its header/],
    ['another magic', Buffer.from('\x93NUMERIC......', 'latin1'), /not what numpy.save writes/],
    ['version 4', npy(F4, FOUR, 4), /version 4.0/],
    ['no length', Buffer.from('\x93NUMPY\x01\x00v', 'latin1'), /ends within its header/],
    ['a header past the end', W.subarray(0, 40), /ends within its header/],
    ['too few bytes', W.subarray(0, W.length - 1), /expected 16 bytes .* found 15/],
    ['too many bytes', Buffer.concat([W, W]), /expected 16 bytes/],
    ['no dict', text("('<f4', False, (4,))"), /expected a header of descr/],
    ['a call', text(header("__import__('os').system('id')", '(4,)')), /expected a value/],
    ['a sum', text(header("'<f4'", '(2+2,)')), /expected a value|expected a comma/],
    ['a missing key', text("{'descr': '<f4', 'shape': (4,)}"), /expected a header of descr/],
    ['another key', text(`${F4.slice(0, -1)}'x': 1}`), /expected a header of descr/],
    ['a key twice', text(`${F4.slice(0, -1)}'shape': (4,)}`), /a key that is there twice/],
    ['text behind it', text(`${F4} 1`), /expected the end/],
    ['no end', text(F4.slice(0, -1)), /expected a key/],
    ['a number for a shape', text(header("'<f4'", '(4)')), /no tuple of numbers/],
    ['a list for a shape', text(header("'<f4'", '[4]')), /no tuple of numbers/],
    ['a negative shape', text(header("'<f4'", '(-4,)')), /expected a value/],
    ['a boolean dimension', text(header("'<f4'", '(True,)')), /no tuple of numbers/],
    ['a fraction', text(header("'<f4'", '(4.0,)')), /expected a value/],
    ['an endless number', text(header("'<f4'", `(${'9'.repeat(400)},)`)), /expected a value/],
    ['a large number', text(header("'<f4'", '(9007199254740993,)')), /beyond all bounds/],
    ['a large product', text(header("'<f4'", '(2147483648, 2147483648, 4)')), /beyond all bounds/],
    ['65 dimensions', text(header("'<f4'", `(${'1,'.repeat(65)})`)), /65 dimensions/],
    ['deep nesting', text(header('['.repeat(30_000), '(4,)')), /nested too deeply/],
    ['an order that is none', text(F4.replace('False', "'no'")), /neither True nor False/],
    ['no dtype', text(header('4', '(4,)')), /none of numpy/],
    ['a dtype that is none', text(header("'<q4'", '(4,)')), /none of numpy/],
    ['UTF-8 that is none', npy('\xff', FOUR, 3).fill(0xff, 12, 13), /not UTF-8/],
    [
      'a header of gigabytes',
      npy(' '.repeat(2 ** 20) + F4, FOUR, 2),
      /header of/,
      'CHECKPOINT_LIMIT',
    ],
    [
      'a checksum',
      stored(W, ({ locals, central }) => {
        locals[0].writeUInt32LE(1, 14);
        central[0].writeUInt32LE(1, 16);
      }),
      /another checksum/,
    ],
    ['no array in a record', stored(Buffer.from('hello, world')), /not what numpy.save writes/],
    [
      'deflate that is none',
      deflated('w.npy', W, { packed: Buffer.from('\xff\xff', 'latin1') }),
      /cannot be inflated/,
    ],
    [
      'deflate that ends',
      deflated('w.npy', W, { packed: deflateRawSync(W).subarray(0, -9) }),
      /cannot be inflated|too short/,
    ],
    [
      'more behind it',
      deflated('w.npy', W, { packed: Buffer.concat([deflateRawSync(W), FOUR]) }),
      /bytes behind its data/,
    ],
    [
      'more than it says',
      deflated('w.npy', W, { size: W.length - 4 }),
      /record "w.npy": it is too long/,
    ],
    ['a checksum of what is inflated', deflated('w.npy', W, { crc: 7 }), /another checksum/],
    [
      'much more behind it',
      deflated('w.npy', W, { packed: Buffer.concat([deflateRawSync(W), Buffer.alloc(2 ** 21)]) }),
      /bytes behind its data/,
    ],
    [
      'a bomb',
      deflated('w.npy', W, { size: 2 ** 31 }),
      /that come to 2147483648/,
      'CHECKPOINT_LIMIT',
    ],
  ])('with %s are refused', async (_, bytes, message, code = 'MALFORMED_CHECKPOINT') => {
    const error = await refusal(bytes);
    expect(error).toMatchObject({ code: `ERR_SAFETENSORS_${code}` });
    expect(error.message).toMatch(message);
  });

  it('of objects are scanned, as the pickles that they are', async () => {
    const harmless = npy(header("'|O'", '(1,)'), pickle(py.list(py.int(1))));
    const evil = npy(header("[('a', '|O'), ('b', '<f4')]", '(1,)'), pickle(py.list(EVIL)));
    const verdict = async (bytes: Buffer) => (await scanCheckpoint(makeFile(bytes, 'x.npy')))[0];
    expect(await verdict(W)).toMatchObject({ verdict: 'safe', globals: [], calls: [] });
    expect(await verdict(harmless)).toMatchObject({ verdict: 'safe' });
    expect(await verdict(gguf())).toMatchObject({ verdict: 'safe', globals: [] });
    const records = [
      { name: 'w.npy', data: W },
      { name: 'broken.npy', data: W.subarray(0, 20) },
      { name: 'no ending', data: evil },
    ];
    for (const bytes of [evil, deflated('o.npy', evil), npz(...records)]) {
      const found = await verdict(bytes);
      expect(found.verdict).toBe('dangerous');
      expect(found.calls[0].call).toMatch(/os\.system\("?'?curl/);
    }
    // PyTorch would load this one.
    const both = npz({ name: 'a/w.npy', data: W }, { name: 'a/data.pkl', data: pickle(EVIL) });
    expect((await verdict(both)).verdict).toBe('dangerous');
    expect((await verdict(Buffer.concat([both, W]))).verdict, 'malformed').toBe('dangerous');
    expect((await verdict(gguf({ version: 1 }))).verdict).toBe('unknown');
    expect((await verdict(W.subarray(0, 20))).verdict).toBe('unknown');
  });

  it('have no parts', async () => {
    const error = await refusal(npy(F4, FOUR), { key: 'model' });
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/^key: /);
  });
});

const ALL_QUANTISED = [
  2,
  3,
  6,
  7,
  8,
  9,
  ...Array.from({ length: 14 }, (_, i) => 10 + i),
  29,
  34,
  35,
  39,
  40,
  41,
];

describe('GGUF files', () => {
  it('become safetensors, with what they say as text', async () => {
    const { tensors, file } = await converted(
      gguf({
        tensors: [
          { name: 'b', dimensions: [3, 2], type: 24, offset: 32 },
          { name: 'a', dimensions: [2, 2] },
          { name: 'none', dimensions: [0, 7] },
          { name: 'one', dimensions: [], type: 27, offset: 64 },
        ],
        keys: [
          ['general.name', value.string('a model')],
          ['yes', value.bool(1)],
          ['tokens', value.array(8, 2, string('a'), string(Buffer.of(0xff)))],
          ['long', value.string('x'.repeat(2 ** 20 + 1))],
        ],
        data: Buffer.concat([FOUR, Buffer.alloc(16), Buffer.from('abcdef'), Buffer.alloc(34)]),
      }),
    );
    expect(tensors.info('b')).toMatchObject({ dtype: 'I8', shape: [2, 3] });
    expect([...tensors.getTensor('a').data]).toEqual([1, 2, 3, 4]);
    expect(tensors.info('none').shape).toEqual([7, 0]);
    expect(tensors.info('one')).toMatchObject({ dtype: 'I64', shape: [] });
    expect(tensors.metadata).toEqual({
      format: 'gguf',
      'gguf.general.name': 'a model',
      'gguf.yes': 'true',
    });
    expect(file.others).toEqual([
      { path: 'tokens', value: 'array of 2 strings' },
      { path: 'long', value: 'a string of 1048577 bytes' },
    ]);
  });

  it('of quantised tensors are refused, with each type; or they are left out, and listed', async () => {
    const quantised = ALL_QUANTISED.map((type, i) => ({
      name: `q${type}`,
      dimensions: [256],
      type,
      offset: 1024 * (i + 1),
    }));
    const file = gguf({
      tensors: [{}, ...quantised, { name: 'new', type: 99, offset: 0 }],
      data: Buffer.alloc(1024 * (quantised.length + 2), 1),
    });
    const error = await refusal(file);
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_UNSUPPORTED_TENSOR', tensor: 'q2' });
    expect(error.message.match(/quantised \w+ \("q\d+"\)/g)?.length).toBe(ALL_QUANTISED.length);
    expect(error.message).toMatch(/type 99 \("new"\)/);
    const { tensors, file: done } = await converted(file, { skipUnknown: true });
    expect([...tensors.keys()]).toEqual(['w']);
    expect(done.skipped.length).toBe(ALL_QUANTISED.length + 1);
    const alone = await refusal(gguf({ tensors: [{ type: 99 }] }), { skipUnknown: true });
    expect(alone).toMatchObject({ code: 'ERR_SAFETENSORS_NO_TENSORS' });
  });

  const keyed = (...keys: [string | Buffer, Buffer][]) => gguf({ keys });
  const one = gguf;
  it.each<[string, Buffer, RegExp, string?]>([
    ['version 1', gguf({ version: 1 }), /version 1/, 'NOT_A_CHECKPOINT'],
    ['version 4', gguf({ version: 4 }), /version 4/, 'NOT_A_CHECKPOINT'],
    [
      'version 2, big-endian',
      gguf({ version: 2, bigEndian: true }),
      /version 2, big-endian/,
      'NOT_A_CHECKPOINT',
    ],
    ['nothing behind the magic', Buffer.from('GGUF'), /ends within its header, at byte 4/],
    [
      'more tensors than there are',
      gguf({ tensorCount: 2 }),
      /a length beyond all bounds, at byte 57/,
    ],
    [
      'very many tensors',
      gguf({ tensorCount: 2 ** 40 }),
      /1099511627776 tensors/,
      'CHECKPOINT_LIMIT',
    ],
    ['2^64 − 1 tensors', gguf({ tensorCount: 2n ** 64n - 1n }), /beyond all bounds, at byte 8/],
    ['very many keys', gguf({ keyCount: 2 ** 40 }), /1099511627776 keys/, 'CHECKPOINT_LIMIT'],
    ['a long key', keyed(['k'.repeat(65_536), value.bool(1)]), /a key of 65536 bytes/],
    [
      'a key that is no text',
      keyed([Buffer.of(0xff), value.bool(1)]),
      /a key that is not UTF-8, at byte 32/,
    ],
    [
      'a text that is none',
      keyed(['k', value.string(Buffer.of(0xff))]),
      /a string that is not UTF-8/,
    ],
    [
      'a key twice',
      keyed(['k', value.bool(1)], ['k', value.bool(1)]),
      /"k" for the second time, at byte 38/,
    ],
    ['a boolean of 2', keyed(['k', value.bool(2)]), /a boolean that is 2/],
    ['a value of type 13', keyed(['k', u32(13)]), /type 13/],
    ['an array of type 13', keyed(['k', value.array(13, 1)]), /type 13/],
    ['an endless array', keyed(['k', value.array(0, 2 ** 50)]), /ends within its header/],
    ['an array beyond bounds', keyed(['k', value.array(0, 2n ** 63n)]), /beyond all bounds/],
    [
      'endless strings',
      keyed(['k', value.array(8, 2 ** 50)]),
      /ends within its header|beyond all bounds/,
    ],
    [
      'an endless string',
      keyed(['k', Buffer.concat([u32(8), u64(2 ** 50)])]),
      /ends within its header/,
    ],
    [
      'arrays in arrays',
      keyed(['k', value.array(9, 1, ...Array(20).fill(Buffer.concat([u32(9), u64(1)])))]),
      /9 arrays in one another/,
      'CHECKPOINT_LIMIT',
    ],
    [
      'very much text',
      keyed(
        ...Array.from({ length: 17 }, (_, i): [string, Buffer] => [
          `${i}`,
          value.string('x'.repeat(2 ** 20)),
        ]),
      ),
      /characters of metadata/,
      'CHECKPOINT_LIMIT',
    ],
    ['an alignment of 0', keyed(['general.alignment', value.uint32(0)]), /general.alignment/],
    ['an alignment of 24', keyed(['general.alignment', value.uint32(24)]), /general.alignment/],
    [
      'an alignment of another type',
      keyed(['general.alignment', value.string('32')]),
      /general.alignment/,
    ],
    ['a name of 65 bytes', one({ tensors: [{ name: 'n'.repeat(65) }] }), /of 65 bytes, where 64/],
    ['a name that is no text', one({ tensors: [{ name: Buffer.of(0xc0) }] }), /not UTF-8/],
    ['a name twice', one({ tensors: [{}, {}] }), /"w" for the second time/],
    ['five dimensions', one({ tensors: [{ dimensions: [1, 1, 1, 1, 4] }] }), /5 dimensions/],
    ['a large dimension', one({ tensors: [{ dimensions: [2n ** 63n] }] }), /beyond all bounds/],
    ['a large product', one({ tensors: [{ dimensions: [2 ** 32, 2 ** 31] }] }), /cannot have/],
    [
      'a row that is no whole block',
      one({ tensors: [{ dimensions: [4], type: 8 }] }),
      /Q8_0 cannot have/,
    ],
    [
      'an offset in between',
      one({ tensors: [{ offset: 16 }] }),
      /no multiple of the alignment, 32/,
    ],
    ['an offset past the end', one({ tensors: [{ offset: 64 }] }), /to byte 80 of 16 bytes/],
    ['a tensor past the end', one({ tensors: [{ dimensions: [5] }] }), /to byte 20 of 16 bytes/],
    ['no data', one({ data: Buffer.alloc(0) }), /to byte 16 of 0 bytes/],
    [
      'tensors that overlap',
      one({ tensors: [{ dimensions: [16] }, { name: 'v', offset: 32 }], data: Buffer.alloc(64) }),
      /"v": its data, from byte 32, overlaps/,
    ],
    ['no tensors', one({ tensors: [] }), /no tensors/, 'NO_TENSORS'],
  ])('with %s are refused', async (_, bytes, message, code = 'MALFORMED_CHECKPOINT') => {
    const error = await refusal(bytes);
    expect(error).toMatchObject({ code: `ERR_SAFETENSORS_${code}` });
    expect(error.message).toMatch(message);
  });
});

describe('files that were changed at random', () => {
  const many = npy(header("'<f4'", '(4, 4)', true), Buffer.alloc(64, 7));
  const seeds = {
    npy: many,
    npz: npz({ name: 'a.npy', data: many }, { name: 'b.npy', data: npy(F4, FOUR) }),
    deflated: deflated('a.npy', many),
    gguf: gguf({
      tensors: [{}, { name: 'q', dimensions: [32], type: 8, offset: 32 }],
      keys: [
        ['general.alignment', value.uint32(32)],
        ['a', value.array(9, 1, u32(8), u64(1), string('x'))],
      ],
      data: Buffer.alloc(96, 3),
    }),
    'big-endian gguf': gguf({ bigEndian: true }),
  };

  it.each(Object.entries(seeds))('%s: are refused with a code, or converted', async (_, seed) => {
    const change = fc.record({
      at: fc.nat(seed.length - 1),
      byte: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.option(fc.nat(seed.length)),
        async (changes, length) => {
          const bytes = Buffer.from(seed);
          for (const { at, byte } of changes) bytes[at] = byte;
          const path = makeFile(bytes.subarray(0, length ?? bytes.length), 'model.gguf');
          try {
            await convertCheckpoint(path, output(), { fsync: false, skipUnknown: true });
          } catch (error) {
            expect(error).toBeInstanceOf(SafetensorsError);
          }
        },
      ),
      { numRuns: rounds(200) },
    );
  });
});

it('safetensors convert knows them by their content', async () => {
  const path = makeFile(
    gguf({
      tensors: [{}, { name: 'q', dimensions: [32], type: 8, offset: 32 }],
      data: Buffer.alloc(96),
    }),
  );
  const target = output();
  const refused = await runCli(['convert', path, '-o', target]);
  expect(refused.stderr).toMatch(/quantised Q8_0 \("q"\)/);
  expect(refused.code).toBe(1);
  const { stdout, code } = await runCli(['convert', path, '-o', target, '--skip-unknown']);
  expect(stdout).toBe(`${target}  (1 tensor, 16 B, verified)\n  skipped: "q" (quantised Q8_0)\n`);
  expect(code).toBe(0);
});
