import { inspect, types } from 'node:util';
import { checkBoolean, checkObject, checkSignal } from '../arguments.ts';
import { DTYPES, type Dtype, type DtypeInfo, type TensorData } from '../dtypes.ts';
import { SafetensorsError } from '../errors.ts';
import { native } from '../native.ts';
import type { EncodeCall } from '../native-kernels.ts';
import { kernelFormat, kernelSet } from './kernels.ts';
import { type DecodeOptions, PIECE_ELEMENTS, runLanes } from './lanes.ts';
import { checkApart, checkStaying, decodeError } from './memory.ts';

const ENCODED = [
  'F16',
  'BF16',
  'F8_E5M2',
  'F8_E4M3',
  'F8_E8M0',
  'F8_E4M3FNUZ',
  'F8_E5M2FNUZ',
] as const satisfies readonly Dtype[];

/** What F32 can be rounded to. */
export type EncodedDtype = (typeof ENCODED)[number];

export interface EncodeOptions<D extends EncodedDtype = EncodedDtype> {
  /** What is too large, infinities included, becomes the largest finite number of its sign. */
  readonly saturate?: boolean | undefined;
  /** Where the results go: the dtype's array, of as many elements as there are values. */
  readonly out?: TensorData<D> | undefined;
}

export interface EncodeAsyncOptions<D extends EncodedDtype = EncodedDtype>
  extends EncodeOptions<D>,
    DecodeOptions {}

/**
 * F32 rounded to the nearest number of a dtype, ties to even, as the bits that {@link saveFile} takes
 * for `data`: a Uint16Array for F16 and BF16, a Uint8Array for the F8.
 *
 * What is too large becomes an infinity (F16, BF16, F8_E5M2) or NaN (the other F8), as in ml_dtypes
 * and PyTorch, or the largest finite number with `saturate`, as in the saturating mode of the OCP 8-bit
 * Floating Point Specification (OFP8) v1.0. NaN stays NaN: its sign and the upper bits of its mantissa
 * are kept where the dtype has such patterns. F8_E8M0 has powers of two from 2^-127 to 2^127: the
 * nearest is taken, from the middle the larger; negative numbers and zero become NaN (zero, with
 * `saturate`, the smallest).
 *
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE for a dtype that F32 is not rounded to; FILE_CHANGED when
 *   `values` are of a mapped file that has lost pages
 * @throws {TypeError}, {RangeError} for other arguments than these
 */
export function fromFloat32<D extends EncodedDtype>(
  dtype: D,
  values: Float32Array,
  options: EncodeOptions<D> = {},
): TensorData<D> {
  const plan = makePlan(dtype, values, options);
  const addon = native();
  try {
    for (const call of calls(plan)) addon.encode(...call);
  } catch (error) {
    throw decodeError(error, undefined);
  }
  return plan.out as TensorData<D>;
}

/**
 * As {@link fromFloat32}, on other threads. Neither `values` nor `out` may be changed, moved or resized
 * before the promise is settled.
 *
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE for a dtype that F32 is not rounded to; FILE_CHANGED when
 *   `values` are of a mapped file that has lost pages
 */
export async function fromFloat32Async<D extends EncodedDtype>(
  dtype: D,
  values: Float32Array,
  options: EncodeAsyncOptions<D> = {},
): Promise<TensorData<D>> {
  const plan = makePlan(dtype, values, options);
  checkSignal(options.signal);
  checkStaying(values, 'values');
  checkStaying(plan.out, 'out');
  const addon = native();
  const { signal } = options;
  await runLanes(calls(plan), (call) => addon.encodeAsync(...call), { signal }).catch(
    (error: unknown) => {
      throw decodeError(error, undefined);
    },
  );
  return plan.out as TensorData<D>;
}

interface Plan {
  readonly format: number;
  readonly values: Float32Array;
  readonly length: number;
  readonly out: TensorData;
  readonly saturate: boolean;
}

function makePlan(dtype: EncodedDtype, values: Float32Array, options: EncodeOptions): Plan {
  const info = checkDtype(dtype);
  if (!types.isFloat32Array(values)) {
    const found = inspect(values, { depth: 0 });
    throw new TypeError(`values: expected a Float32Array, found ${found}`);
  }
  checkObject(options, 'options');
  const { saturate = false, out = new info.array(values.length) } = options;
  checkBoolean(saturate, 'saturate');
  checkOut(out, info, values.length);
  checkApart(values, out);
  const format = kernelFormat(dtype) as number;
  return { format, values, length: values.length, out, saturate };
}

function checkDtype(dtype: unknown): DtypeInfo {
  if (typeof dtype !== 'string') {
    throw new TypeError(`dtype: expected a string, found ${inspect(dtype, { depth: 0 })}`);
  }
  const info = DTYPES.find(({ name }) => name === dtype);
  const expected = `expected one of ${ENCODED.join(', ')}, found ${inspect(dtype)}`;
  if (info === undefined) throw new RangeError(`dtype: ${expected}`);
  if ((ENCODED as readonly string[]).includes(dtype)) return info;
  throw new SafetensorsError('UNSUPPORTED_DTYPE', `fromFloat32: ${expected}`);
}

function checkOut(out: TensorData, { array }: DtypeInfo, length: number): void {
  const fits = types.isTypedArray(out) && out[Symbol.toStringTag] === array.name;
  if (!fits) {
    throw new TypeError(`out: expected a ${array.name}, found ${inspect(out, { depth: 0 })}`);
  }
  if (out.length !== length) {
    throw new RangeError(`out: expected ${length} elements, found ${out.length}`);
  }
}

function* calls({ format, values, length, out, saturate }: Plan): Generator<EncodeCall, void> {
  const kernels = kernelSet();
  const { BYTES_PER_ELEMENT: step } = out;
  for (let begin = 0; begin < length; begin += PIECE_ELEMENTS) {
    const end = Math.min(begin + PIECE_ELEMENTS, length);
    if (values.length !== length || out.length !== length) {
      throw new TypeError('values, out: expected to stay until all is done, found one moved');
    }
    const target = new Uint8Array(out.buffer, out.byteOffset + step * begin, step * (end - begin));
    yield [kernels, format, values.subarray(begin, end), target, saturate];
  }
}
