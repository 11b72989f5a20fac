import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type BlockScaledOptions,
  type Dtype,
  decodeBlockScaled,
  decodeBlockScaledAsync,
  decodeMxfp4,
  decodeMxfp4Async,
  SafetensorsError,
  safeOpenSync,
  type TensorLike,
} from '../src/index.ts';
import { buildFile, patternBytes, type TensorSource } from './support/build.ts';
import { thrownBy } from './support/errors.ts';
import { bitsOf, tensorOf } from './support/number-formats.ts';
import { fileMaker } from './support/temporary.ts';

/** What numpy computed: see interop/block_scaled.py. */
interface Fixture {
  tiled: { dtype: Dtype; shape: number[]; blockSize: [number, number]; sha256: string }[];
  mxfp4: { groups: number[]; sha256: string }[];
}

const fixture: Fixture = JSON.parse(
  readFileSync(new URL('./fixtures/block-scaled.json', import.meta.url), 'utf8'),
);
const makeFile = fileMaker();

function product(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

function sha256(values: Float32Array): string {
  const bits = bitsOf(values).map((bit, i) => (Number.isNaN(values[i]) ? 0x7fc00000 : bit));
  return createHash('sha256').update(bits).digest('hex');
}

function weightOf(dtype: Dtype, shape: readonly number[]): TensorLike {
  return { dtype, shape, data: patternBytes(product(shape), 5) };
}

function scaleFor(shape: readonly number[], [rows, columns]: readonly [number, number]) {
  const scaleShape = [
    ...shape.slice(0, -2),
    Math.ceil((shape.at(-2) as number) / rows),
    Math.ceil((shape.at(-1) as number) / columns),
  ];
  const codes = patternBytes(product(scaleShape), 11);
  const data = Float32Array.from(codes, (code) => (1 + code / 256) * 2 ** ((code % 16) - 8));
  return { dtype: 'F32', shape: scaleShape, data } as const;
}

function mxfp4Of(groups: readonly number[]): [blocks: TensorLike, scales: TensorLike] {
  const count = product(groups);
  return [
    { dtype: 'U8', shape: [...groups, 16], data: patternBytes(16 * count, 3) },
    { dtype: 'U8', shape: groups, data: patternBytes(count, 7) },
  ];
}

/** The tensors as those of a mapped file, at odd addresses. */
function mapped(...tensors: TensorLike[]) {
  const sources = tensors.map(({ dtype, shape, data }, i) => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return { name: `${i}`, dtype, shape, data: bytes } satisfies TensorSource;
  });
  const odd = { name: 'odd', dtype: 'U8', shape: [3], data: new Uint8Array(3) };
  const file = safeOpenSync(makeFile(buildFile([odd, ...sources])));
  return { file, tensors: tensors.map((_, i) => file.getTensor(`${i}`)) };
}

describe('decodeBlockScaled', () => {
  it.each(fixture.tiled)(
    '$dtype of $shape in blocks of $blockSize is what numpy says',
    async ({ dtype, shape, blockSize, sha256: expected }) => {
      const weight = weightOf(dtype, shape);
      const scale = scaleFor(shape, blockSize);
      expect(sha256(decodeBlockScaled(weight, scale, { blockSize }))).toBe(expected);
      const { file, tensors } = mapped(weight, scale);
      using _ = file;
      const out = new Float32Array(product(shape));
      expect(await decodeBlockScaledAsync(tensors[0], tensors[1], { blockSize, out })).toBe(out);
      expect(sha256(out)).toBe(expected);
    },
  );

  it('takes blocks of [128, 128] unless it is told otherwise', () => {
    const [{ dtype, shape, sha256: expected }] = fixture.tiled;
    const result = decodeBlockScaled(weightOf(dtype, shape), scaleFor(shape, [128, 128]));
    expect(sha256(result)).toBe(expected);
  });

  it.each([
    ['BF16', Uint8Array.of(0, 0x40)],
    ['F16', Uint8Array.of(0, 0x40)],
    ['F8_E8M0', Uint8Array.of(128)],
    ['F8_E4M3', Uint8Array.of(0x40)],
  ] as [Dtype, Uint8Array][])('takes scales of %s', (dtype, data) => {
    const weight: TensorLike = { dtype: 'F8_E4M3', shape: [1, 2], data: Uint8Array.of(0x38, 0xb8) };
    expect([...decodeBlockScaled(weight, { dtype, shape: [1, 1], data })]).toEqual([2, -2]);
  });

  it('decodes MX formats in dtypes of their own', () => {
    const groups = [4, 90];
    const [blocks, scales] = mxfp4Of(groups);
    const weight: TensorLike = { dtype: 'F4', shape: [4, 90 * 32], data: blocks.data };
    const scale: TensorLike = { dtype: 'F8_E8M0', shape: groups, data: scales.data };
    const result = decodeBlockScaled(weight, scale, { blockSize: [1, 32] });
    expect([...bitsOf(result)]).toEqual([...bitsOf(decodeMxfp4(blocks, scales))]);
  });

  it.each([
    ['rows of many pieces', [3000, 1100], [128, 128]],
    ['tiles longer than a piece', [2100, 1100], [2100, 1100]],
    ['tiles that take a piece and a half', [3000, 1100], [1400, 700]],
    ['rows longer than a piece', [3, 2 ** 20 + 12], [2, 2 ** 19]],
    ['many matrices', [5, 130, 2 ** 12], [128, 128]],
  ] as [string, number[], [number, number]][])('%s', async (_, shape, blockSize) => {
    const weight = weightOf('F8_E4M3', shape);
    const scale = scaleFor(shape, blockSize);
    const numbers = tensorOf(
      'F8_E4M3',
      Uint8Array.from({ length: 256 }, (_, i) => i),
    ).toFloat32();
    const [rows, columns] = shape.slice(-2);
    const across = Math.ceil(columns / blockSize[1]);
    const down = Math.ceil(rows / blockSize[0]);
    const codes = weight.data as Uint8Array;
    const result = await decodeBlockScaledAsync(weight, scale, { blockSize });
    let wrong = 0;
    for (let i = 0; i < codes.length; i++) {
      const row = Math.floor(i / columns);
      const tileRow = Math.floor(row / rows) * down + Math.floor((row % rows) / blockSize[0]);
      const factor = scale.data[tileRow * across + Math.floor((i % columns) / blockSize[1])];
      if (!Object.is(result[i], Math.fround(numbers[codes[i]] * factor))) wrong++;
    }
    expect(wrong).toBe(0);
    expect(sha256(decodeBlockScaled(weight, scale, { blockSize }))).toBe(sha256(result));
  });

  it('of nothing is nothing', () => {
    for (const shape of [
      [0, 5],
      [5, 0],
      [0, 3, 4],
    ]) {
      expect(decodeBlockScaled(weightOf('F8_E4M3', shape), scaleFor(shape, [128, 128]))).toEqual(
        new Float32Array(0),
      );
    }
  });

  const weight = weightOf('F8_E4M3', [4, 6]);
  const scale = scaleFor([4, 6], [128, 128]);

  it.each([
    [
      weight,
      scaleFor([4, 6], [2, 3]),
      {},
      RangeError,
      /^scale: expected shape \[1, 1\] for .*\[4, 6\] in blocks of \[128, 128\], found \[2, 2\]$/,
    ],
    [weight, { ...scale, shape: [1], data: scale.data }, {}, RangeError, /^scale: expected shape/],
    [
      { ...weight, shape: [24] },
      scale,
      {},
      RangeError,
      /^weight: expected rows and columns, found shape \[24\]$/,
    ],
    [
      { dtype: 'F4', shape: [2, 3], data: new Uint8Array(3) },
      scale,
      {},
      RangeError,
      /^weight: expected rows of whole bytes/,
    ],
    [weight, scale, { blockSize: [1, 0] }, RangeError, /^blockSize: expected integers over 0/],
    [
      weight,
      scale,
      { blockSize: 128 },
      TypeError,
      /^blockSize: expected \[rows, columns\], found 128$/,
    ],
    [
      weight,
      scale,
      { out: new Float32Array(5) },
      RangeError,
      /^out: expected 24 elements, found 5$/,
    ],
    [weight, scale, null, TypeError, /^options: expected an object/],
    [undefined, scale, {}, TypeError, /^tensor "weight": expected an object/],
  ] as [TensorLike, TensorLike, BlockScaledOptions, typeof TypeError, RegExp][])(
    'does not take %j, %j, %j',
    async (w, s, options, Failure, message) => {
      for (const decode of [decodeBlockScaled, decodeBlockScaledAsync]) {
        const error = await thrownBy(() => decode(w, s, options));
        expect(error).toBeInstanceOf(Failure);
        expect(error.message).toMatch(message);
      }
    },
  );

  it.each([
    ['weight', { ...weight, dtype: 'U8' }, scale],
    ['scale', weight, { dtype: 'I8', shape: [1, 1], data: new Int8Array(1) }],
  ] as [string, TensorLike, TensorLike][])(
    'does not know every dtype of a %s',
    async (what, w, s) => {
      const error = await thrownBy(() => decodeBlockScaled(w, s));
      expect(error).toBeInstanceOf(SafetensorsError);
      expect(error.code).toBe('ERR_SAFETENSORS_UNSUPPORTED_DTYPE');
      expect(error.message).toMatch(new RegExp(`^${what}: expected F`));
    },
  );

  it('fails when a file is closed meanwhile, and stops at a signal', async () => {
    const big = [2048, 2048];
    const { file, tensors } = mapped(weightOf('F8_E4M3', big), scaleFor(big, [128, 128]));
    const reason = new Error('enough');
    const signal = AbortSignal.abort(reason);
    expect(await thrownBy(() => decodeBlockScaledAsync(tensors[0], tensors[1], { signal }))).toBe(
      reason,
    );
    const promise = decodeBlockScaledAsync(tensors[0], tensors[1]);
    file.close();
    expect((await thrownBy(() => promise)).code).toBe('ERR_SAFETENSORS_CLOSED');
  });

  it('leaves the scales to other threads too, a piece at a time', async () => {
    const shape = [8, 2 ** 20];
    const codes = new Uint8Array(product(shape)).fill(127); // 1
    const promise = decodeBlockScaledAsync(
      { dtype: 'F8_E4M3', shape, data: new Uint8Array(codes.length).fill(0x38) }, // 1
      { dtype: 'F8_E8M0', shape, data: codes },
      { blockSize: [1, 1] },
    );
    // What this thread had read before the call returned would not change any more.
    codes[codes.length - 1] = 128;
    expect((await promise).at(-1)).toBe(2);
  });
});

describe('decodeMxfp4', () => {
  it.each(fixture.mxfp4)(
    'of $groups blocks is what numpy says',
    async ({ groups, sha256: expected }) => {
      const [blocks, scales] = mxfp4Of(groups);
      expect(sha256(decodeMxfp4(blocks, scales))).toBe(expected);
      const { file, tensors } = mapped(blocks, { ...scales, dtype: 'F8_E8M0' });
      using _ = file;
      const out = new Float32Array(32 * product(groups));
      expect(await decodeMxfp4Async(tensors[0], tensors[1], { out })).toBe(out);
      expect(sha256(out)).toBe(expected);
    },
  );

  it('does many blocks in pieces', async () => {
    const groups = [70_000];
    const [blocks, scales] = mxfp4Of(groups);
    const result = await decodeMxfp4Async(blocks, scales);
    expect(sha256(result)).toBe(sha256(decodeMxfp4(blocks, scales)));
    const last: TensorLike[] = [
      { dtype: 'U8', shape: [1, 16], data: (blocks.data as Uint8Array).subarray(-16) },
      { dtype: 'U8', shape: [1], data: (scales.data as Uint8Array).subarray(-1) },
    ];
    expect([...result.subarray(-32)]).toEqual([...decodeMxfp4(last[0], last[1])]);
  });

  const [blocks, scales] = mxfp4Of([2, 3]);
  const misfit = /^blocks, scales: expected shapes \[…, groups, 16\] and \[…, groups\], found/;

  it.each([
    [{ ...blocks, shape: [2, 24, 2] }, scales, misfit],
    [{ ...blocks, shape: [3, 2, 16] }, scales, misfit],
    [{ ...blocks, shape: [6, 16] }, scales, misfit],
    [
      { ...blocks, shape: [1, 16], data: new Uint8Array(16) },
      { ...scales, shape: [], data: new Uint8Array(1) },
      misfit,
    ],
  ] as [TensorLike, TensorLike, RegExp][])('does not take %j and %j', async (b, s, message) => {
    for (const decode of [decodeMxfp4, decodeMxfp4Async]) {
      const error = await thrownBy(() => decode(b, s));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toMatch(message);
    }
  });

  it.each([
    ['blocks', { ...blocks, dtype: 'I8' }, scales],
    ['scales', blocks, { ...scales, dtype: 'I8' }],
  ] as [string, TensorLike, TensorLike][])(
    'does not know every dtype of %s',
    async (what, b, s) => {
      const error = await thrownBy(() => decodeMxfp4(b, s));
      expect(error.code).toBe('ERR_SAFETENSORS_UNSUPPORTED_DTYPE');
      expect(error.message).toMatch(new RegExp(`^${what}: expected U8`));
    },
  );
});
