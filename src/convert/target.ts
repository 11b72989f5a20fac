import { kernelFormat, kernelSet } from '../decode/kernels.ts';
import type { Dtype } from '../dtypes.ts';
import { fromFloat32Async } from '../index.ts';
import { native } from '../native.ts';

/** What floating-point tensors can be rounded to on their way. */
export const TARGET_DTYPES = ['F32', 'F16', 'BF16'] as const;
export type TargetDtype = (typeof TARGET_DTYPES)[number];

/** Dtypes that are rounded; integers, bits, complex numbers and what is below 16 bits stay as they are. */
const ROUNDED: ReadonlySet<Dtype> = new Set(['F64', 'F32', 'F16', 'BF16']);

/** The dtype that a tensor is written with. */
export function writtenDtype(dtype: Dtype, target: TargetDtype | undefined): Dtype {
  return target !== undefined && ROUNDED.has(dtype) ? target : dtype;
}

/**
 * Elements of one dtype as another, by way of F32: to the nearest, ties to even. `bytes` begin at a
 * multiple of their elements' length, and nobody changes them meanwhile.
 */
export async function roundTo(
  bytes: Uint8Array,
  from: Dtype,
  elementBytes: number,
  to: TargetDtype,
): Promise<Uint8Array> {
  const { buffer, byteOffset, byteLength } = bytes;
  const elements = byteLength / elementBytes;
  let values: Float32Array;
  if (from === 'F32') values = new Float32Array(buffer, byteOffset, elements);
  else {
    const format = kernelFormat(from);
    if (format === undefined) throw new Error(`no kernels for ${from}`);
    values = new Float32Array(elements);
    await native().decodeAsync(kernelSet(), format, bytes, values, false);
  }
  if (to === 'F32') return bytesOf(values);
  return bytesOf(await fromFloat32Async(to, values));
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
