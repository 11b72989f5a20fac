import { describe, expect, it } from 'vitest';
import {
  type Dtype,
  type EncodedDtype,
  fromFloat32,
  fromFloat32Async,
  SafetensorsError,
} from '../src/index.ts';
import { ALL_DTYPES, DTYPE_BITS } from './support/build.ts';
import { thrownBy } from './support/errors.ts';
import {
  bitsOf,
  everyPattern,
  floatsOf,
  fromBase64,
  numberFormats,
  tensorOf,
} from './support/number-formats.ts';

const ENCODED = Object.keys(numberFormats.encode.outputs) as EncodedDtype[];
const OTHERS = ALL_DTYPES.filter((dtype) => !ENCODED.includes(dtype as EncodedDtype));
const inputs = floatsOf(fromBase64(numberFormats.encode.inputs));

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function decoded(dtype: Dtype, data: ArrayBufferView): Float32Array {
  return tensorOf(dtype, bytesOf(data)).toFloat32();
}

/** ml_dtypes 0.6.0 takes 2^-126 for what is nearer to 2^-127, which is a subnormal F32. */
function isTheirFault(dtype: Dtype, value: number): boolean {
  return dtype === 'F8_E8M0' && value > 2 ** -127 && value < 1.5 * 2 ** -127;
}

it('knows what it is tested with', () => {
  expect(ENCODED.length).toBe(7);
  expect(inputs.length).toBeGreaterThan(5000);
  // In the middle between two numbers of BF16, and of F16: those that are normal.
  const [smallest, largest] = [2 ** -14, 65504];
  const magnitudes = bitsOf(inputs).map((bits) => bits & 0x7fffffff);
  const isNormal = (_: number, i: number) =>
    Math.abs(inputs[i]) >= smallest && Math.abs(inputs[i]) < largest;
  expect(magnitudes.filter((bits) => (bits & 0xffff) === 0x8000).length).toBeGreaterThan(400);
  expect(
    magnitudes.filter(isNormal).filter((bits) => (bits & 0x1fff) === 0x1000).length,
  ).toBeGreaterThan(250);
});

describe.each(ENCODED)('%s', (dtype) => {
  const largest = Math.max(...[...decoded(dtype, patterns())].filter(Number.isFinite));

  function patterns(): Uint16Array | Uint8Array {
    const bytes = everyPattern(dtype);
    return DTYPE_BITS[dtype] === 16 ? new Uint16Array(bytes.buffer) : bytes;
  }

  it('is rounded as Python rounds', () => {
    const codes = fromFloat32(dtype, inputs);
    expect(codes.constructor).toBe(DTYPE_BITS[dtype] === 16 ? Uint16Array : Uint8Array);
    const bytes = fromBase64(numberFormats.encode.outputs[dtype] as string);
    const expected = codes instanceof Uint16Array ? new Uint16Array(bytes.buffer) : bytes;
    const ours = decoded(dtype, codes);
    const theirs = decoded(dtype, expected);
    expect(codes.length).toBe(inputs.length);
    for (const [i, code] of codes.entries()) {
      const where = `of ${inputs[i]}`;
      // Payloads of NaN are nothing that libraries agree on.
      if (Number.isNaN(theirs[i])) expect(ours[i], where).toBeNaN();
      else expect(code, where).toBe(isTheirFault(dtype, inputs[i]) ? 0 : expected[i]);
    }
  });

  it('comes back from F32 as it was, but that signaling NaN are quiet', () => {
    const quiet: Partial<Record<Dtype, number>> = { F16: 0x200, BF16: 0x40, F8_E5M2: 2 };
    const all = patterns();
    const values = decoded(dtype, all);
    const expected = all.map((code: number, i: number) =>
      Number.isNaN(values[i]) ? code | (quiet[dtype] ?? 0) : code,
    );
    expect([...fromFloat32(dtype, values)]).toEqual([...expected]);
  });

  it('saturates when it is asked to', () => {
    const plain = decoded(dtype, fromFloat32(dtype, inputs));
    const saturated = decoded(dtype, fromFloat32(dtype, inputs, { saturate: true }));
    let changed = 0;
    for (const [i, value] of inputs.entries()) {
      const where = `of ${value}`;
      if (Number.isNaN(value) || (dtype === 'F8_E8M0' && (value < 0 || Object.is(value, -0)))) {
        expect(saturated[i], where).toBeNaN();
      } else if (dtype === 'F8_E8M0' && value === 0) {
        expect(saturated[i], where).toBe(2 ** -127);
      } else if (Number.isFinite(plain[i])) {
        expect(saturated[i], where).toBe(plain[i]);
      } else {
        changed++;
        expect(saturated[i], where).toBe(Math.sign(value) * largest);
      }
    }
    expect(changed).toBeGreaterThan(0);
  });

  it('does the same on other threads, into `out`', async () => {
    const expected = fromFloat32(dtype, inputs);
    const out = expected.slice().fill(1) as typeof expected;
    expect(await fromFloat32Async(dtype, inputs, { out })).toBe(out);
    expect(Buffer.compare(bytesOf(out), bytesOf(expected))).toBe(0);
    out.fill(1);
    expect(fromFloat32(dtype, inputs, { out })).toBe(out);
    expect(Buffer.compare(bytesOf(out), bytesOf(expected))).toBe(0);
  });

  it('does long arrays in pieces', async () => {
    const values = new Float32Array(2 ** 21 + 5);
    for (let at = 0; at < values.length; at += inputs.length) {
      values.set(inputs.subarray(0, values.length - at), at);
    }
    const codes = await fromFloat32Async(dtype, values);
    const whole = fromFloat32(dtype, values);
    expect(Buffer.compare(bytesOf(codes), bytesOf(whole))).toBe(0);
    expect(whole.subarray(0, 9)).toEqual(fromFloat32(dtype, inputs.subarray(0, 9)));
    expect(whole.subarray(-3)).toEqual(fromFloat32(dtype, values.subarray(-3)));
  });

  it('has no elements of no values', () => {
    expect(fromFloat32(dtype, new Float32Array(0)).length).toBe(0);
  });
});

const values = Float32Array.of(1, 2);

it.each([
  [
    () => fromFloat32('BF16', [1, 2] as never),
    TypeError,
    /^values: expected a Float32Array, found/,
  ],
  [() => fromFloat32(1 as never, values), TypeError, /^dtype: expected a string, found 1$/],
  [() => fromFloat32('FP8' as never, values), RangeError, /^dtype: expected one of F16, .*'FP8'$/],
  [() => fromFloat32('BF16', values, null as never), TypeError, /^options: expected an object/],
  [() => fromFloat32('BF16', values, { saturate: 1 as never }), TypeError, /^saturate: expected/],
  [() => fromFloat32('BF16', values, { out: new Uint8Array(4) as never }), TypeError, /^out: exp/],
  [() => fromFloat32('BF16', values, { out: new Uint16Array(3) }), RangeError, /^out: expected 2/],
  [
    () => fromFloat32('BF16', values, { out: new Uint16Array(values.buffer, 0, 2) }),
    RangeError,
    /^out: expected memory apart/,
  ],
  [
    () => fromFloat32Async('BF16', values, { signal: 1 as never }),
    TypeError,
    /^signal: expected an AbortSignal/,
  ],
])('does not take %s', async (call, Failure, message) => {
  const before = [...bitsOf(values)];
  const error = await thrownBy(call);
  expect(error).toBeInstanceOf(Failure);
  expect(error.message).toMatch(message);
  expect([...bitsOf(values)]).toEqual(before);
});

it.each(OTHERS)('has no way from F32 to %s', async (dtype) => {
  for (const call of [fromFloat32, fromFloat32Async]) {
    const error = await thrownBy(() => call(dtype as EncodedDtype, values));
    expect(error).toBeInstanceOf(SafetensorsError);
    expect(error.code).toBe('ERR_SAFETENSORS_UNSUPPORTED_DTYPE');
  }
});

it('is rejected with the reason of a signal', async () => {
  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  expect(await thrownBy(() => fromFloat32Async('BF16', values, { signal }))).toBe(reason);
});
