import { SafetensorsError } from '../index.ts';
import type { GpuBuffer, GpuDevice } from './webgpu-device.ts';

/** Flags of GPUBufferUsage. */
const COPY_SRC = 0x04;
const COPY_DST = 0x08;
const STORAGE = 0x80;

/** Written at once, and before what was written is waited for: the device keeps a copy of what it has not sent yet. */
const CHUNK_BYTES = 16 * 2 ** 20;

/** Sizes and offsets of writes are multiples of it. */
const WRITE_UNIT = 4;

export interface UploadOptions {
  name: string;
  usage?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Called when a part has been copied; throws when that was not what the file has. */
  assertIntact?: (() => void) | undefined;
}

/** What was written to a device, of one tensor or of many, and is not waited for yet. */
export class Uploads {
  #unsentBytes = 0;

  /** Until the device has room for the next chunk. */
  async written(byteLength: number, { queue }: GpuDevice): Promise<void> {
    this.#unsentBytes += byteLength;
    if (this.#unsentBytes < CHUNK_BYTES) return;
    this.#unsentBytes = 0;
    await queue.onSubmittedWorkDone();
  }
}

/** How {@link GpuDevice} is called. */
interface Calls<Buffer> {
  createBuffer(descriptor: { label: string; size: number; usage: number }): Buffer;
  queue: {
    writeBuffer(target: Buffer, at: number, data: Uint8Array, from?: number, size?: number): void;
  };
}

/**
 * A buffer with `data` in it, and zeros up to a multiple of 4 bytes; at least 4.
 * @throws {RangeError} when the device has no buffer that long
 * @throws {SafetensorsError} CLOSED, when the container is closed meanwhile; what `assertIntact` throws
 */
export async function upload<D extends GpuDevice>(
  device: D,
  data: ArrayBufferView,
  uploads: Uploads,
  { name, usage = STORAGE | COPY_SRC, signal, assertIntact }: UploadOptions,
): Promise<GpuBuffer<D>> {
  const { byteLength } = data;
  const size = Math.max(WRITE_UNIT, Math.ceil(byteLength / WRITE_UNIT) * WRITE_UNIT);
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const most =
    usage & STORAGE ? Math.min(maxBufferSize, maxStorageBufferBindingSize) : maxBufferSize;
  if (size > most) {
    const what = `${JSON.stringify(name)}: ${size} bytes, and a buffer of this device has at most ${most}`;
    throw new RangeError(
      `${what}: ask for a device with higher limits, or upload slices of the tensor`,
    );
  }
  const calls = device as unknown as Calls<GpuBuffer<D>>;
  const buffer = calls.createBuffer({ label: name, size, usage: usage | COPY_DST });
  try {
    for (let at = 0; at < byteLength; at += CHUNK_BYTES) {
      signal?.throwIfAborted();
      if (data.byteLength < byteLength) {
        throw new SafetensorsError('CLOSED', 'closed while it was uploaded', { tensor: name });
      }
      const length = Math.min(CHUNK_BYTES, byteLength - at);
      const chunk = new Uint8Array(data.buffer, data.byteOffset + at, length);
      const whole = length - (length % WRITE_UNIT);
      if (whole > 0) calls.queue.writeBuffer(buffer, at, chunk, 0, whole);
      if (whole < length) {
        const rest = new Uint8Array(WRITE_UNIT);
        rest.set(chunk.subarray(whole));
        calls.queue.writeBuffer(buffer, at + whole, rest);
      }
      assertIntact?.();
      await uploads.written(length, device);
    }
    return buffer;
  } catch (error) {
    buffer.destroy();
    throw error;
  }
}
