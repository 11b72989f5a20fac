// Of WebGPU: navigator.gpu, or the package webgpu on Node.
import type { Container, Tensor } from '../index.ts';
import { checkUploadOptions } from './checks.ts';
import {
  type ConvertAllOptions,
  type ConvertOptions,
  copied,
  type DtypeTable,
  decoded,
  fitted,
  smallFloats,
  widened,
} from './conversion.ts';
import { type Backend, convert, convertAll } from './convert.ts';
import type { GpuBuffer, GpuDevice } from './webgpu-device.ts';
import { Uploads, upload } from './webgpu-upload.ts';

export type { Conversion, DtypeTable } from './conversion.ts';
export type { GpuBuffer, GpuDevice, GpuLimits, GpuQueue } from './webgpu-device.ts';

/** What WGSL has, as the elements of a buffer; f16 needs the feature `shader-f16`. */
export const dtypes: DtypeTable = Object.freeze({
  F32: copied('f32'),
  F64: decoded('f32'),
  F16: copied('f16'),
  I64: fitted('i32'),
  I32: copied('i32'),
  I16: widened('i32'),
  I8: widened('i32'),
  U64: fitted('i32'),
  U32: copied('u32'),
  U16: widened('i32'),
  U8: widened('i32'),
  BOOL: widened('i32'),
  ...smallFloats(decoded('f32')),
});

export interface BufferOptions extends ConvertOptions {
  /** GPUBufferUsage flags of the buffer; COPY_DST comes on top. Default: STORAGE and COPY_SRC. */
  usage?: number | undefined;
  /** Uploads the bytes as they are in the file, whatever the dtype. */
  raw?: boolean | undefined;
  /** Ends it: the promise is rejected with the signal's reason, and nothing is left on the device. */
  signal?: AbortSignal | undefined;
}

export interface BuffersOptions extends BufferOptions, ConvertAllOptions {}

/** All dtypes, for `raw`. */
const RAW: DtypeTable = Object.fromEntries(
  [...Object.keys(dtypes), 'C64'].map((dtype) => [dtype, copied('bytes')]),
);

function backendOf<D extends GpuDevice>(
  device: D,
  options: BufferOptions,
): Backend<Promise<GpuBuffer<D>>, BufferOptions> {
  checkUploadOptions(options);
  const uploads = new Uploads();
  return {
    name: 'WebGPU',
    dtypes: options.raw ? RAW : dtypes,
    build: async (tensor, elements, { as }, { usage, signal }) => {
      const shared = { name: tensor.name, usage, signal };
      if (as) return upload(device, elements(), uploads, shared);
      const assertIntact = () => tensor.assertIntact();
      return upload(device, tensor.bytes, uploads, { ...shared, assertIntact });
    },
    discard: (buffer) => buffer.destroy(),
  };
}

/**
 * One tensor as a buffer of a device, in chunks: a copy, for the caller to destroy. A length that is no
 * multiple of 4 bytes, which no buffer can have, is filled up with zeros.
 *
 * @throws {SafetensorsError} UNSUPPORTED_DTYPE, CLOSED; FILE_CHANGED when lost pages are copied, or were read before
 * @throws {RangeError} when it is longer than the device's limits; an integer that does not fit
 */
export async function toBuffer<D extends GpuDevice>(
  device: D,
  tensor: Tensor,
  options: BufferOptions = {},
): Promise<GpuBuffer<D>> {
  return convert(backendOf(device, options), tensor, options);
}

/**
 * Buffers by name, all dtypes checked before the first is made; decoded on other threads. Those that were
 * made before a failure are destroyed.
 * @throws {SafetensorsError} as {@link toBuffer}; TENSOR_NOT_FOUND
 */
export async function toBuffers<D extends GpuDevice>(
  device: D,
  container: Container,
  options: BuffersOptions = {},
): Promise<Map<string, GpuBuffer<D>>> {
  return convertAll(backendOf(device, options), container, options);
}
