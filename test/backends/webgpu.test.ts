import {
  type AnyTensor,
  deserialize,
  openModel,
  saveFile,
  serialize,
  type Tensor,
} from 'safetensors-mmap';
import { dtypes, toBuffer, toBuffers } from 'safetensors-mmap/webgpu';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ALL_DTYPES, patternBytes, tensorBytes } from '../support/build.ts';
import { thrownBy } from '../support/errors.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { adapterContract } from './support/contract.ts';
import { readBack, testedDevice } from './support/gpu.ts';

const { device, stores, end } = await testedDevice();
const folder = temporaryFolder();
const errors: string[] = [];
device.onuncapturederror = ({ error }) => errors.push(error.message);

beforeEach(() => {
  errors.length = 0;
  return async () => {
    await device.queue.onSubmittedWorkDone();
    expect(errors, 'what the device found wrong').toEqual([]);
  };
});
afterAll(end);

interface Uploaded {
  buffer: GPUBuffer;
  tensor: Tensor;
}

const ARRAYS = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, f16: Uint16Array } as const;

describe.runIf(stores)('read back', () => {
  adapterContract<Uploaded>({
    dtypes,
    one: async (tensor, options) => ({ buffer: await toBuffer(device, tensor, options), tensor }),
    async all(container, options) {
      const buffers = await toBuffers(device, container, options);
      const uploaded = Array.from(buffers, ([name, buffer]) => {
        return [name, { buffer, tensor: container.getTensor(name) as Tensor }] as const;
      });
      return new Map(uploaded);
    },
    async elements({ buffer, tensor: { dtype, size } }) {
      const Elements = ARRAYS[dtypes[dtype]?.type as keyof typeof ARRAYS];
      return new Elements((await readBack(device, buffer)).buffer as ArrayBuffer, 0, size);
    },
    shape: ({ tensor }) => tensor.shape,
  });

  it('of many chunks is the same bytes', async () => {
    const bytes = 2 ** 20 * 33 + 3;
    const data = patternBytes(bytes);
    const path = `${folder}/chunks.safetensors`;
    await saveFile({ a: { dtype: 'U8', shape: [bytes], data } }, path);
    using model = await openModel(path);
    const writes = vi.spyOn(device.queue, 'writeBuffer');
    const buffer = await toBuffer(device, model.getTensor('a'), { raw: true });
    expect(writes.mock.calls.filter(([, , piece]) => piece.byteLength > 0).length).toBe(4);
    writes.mockRestore();
    expect(buffer.size).toBe(bytes + 1);
    const found = await readBack(device, buffer);
    expect(Buffer.compare(found.subarray(0, bytes), data)).toBe(0);
    expect(found[bytes]).toBe(0);
    buffer.destroy();
  });
});

/** What is written to a buffer, from the calls of the queue. */
async function written(tensor: AnyTensor, options: object): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  const write = device.queue.writeBuffer.bind(device.queue);
  const spy = vi.spyOn(device.queue, 'writeBuffer');
  spy.mockImplementation((...call) => {
    const [, at, data, from = 0, size = data.byteLength - from] = call;
    expect([at % 4, size % 4]).toEqual([0, 0]);
    expect(at).toBe(pieces.reduce((all, { length }) => all + length, 0));
    pieces.push((data as Uint8Array<ArrayBuffer>).slice(from, from + size));
    return write(...call);
  });
  const buffer = await toBuffer(device, tensor, options);
  spy.mockRestore();
  buffer.destroy();
  return Buffer.concat(pieces);
}

describe('uploads', () => {
  it.each(ALL_DTYPES)('%s raw, as it is in the file', async (dtype) => {
    const shape = [2, 3, 4];
    const data = patternBytes(tensorBytes(dtype, shape));
    const container = deserialize(serialize({ a: { dtype, shape, data } as never }));
    const found = await written(container.getTensor('a'), { raw: true });
    expect(found.length).toBe(Math.ceil(data.length / 4) * 4);
    expect(Buffer.compare(found.subarray(0, data.length), data)).toBe(0);
    expect(found.subarray(data.length).every((byte) => byte === 0)).toBe(true);
  });

  it('with the usage that is asked for, and the name as label', async () => {
    const container = deserialize(
      serialize({ a: { dtype: 'U8', shape: [3], data: new Uint8Array(3) } }),
    );
    const usage = GPUBufferUsage.VERTEX;
    const buffer = await toBuffer(device, container.getTensor('a'), { raw: true, usage });
    expect(buffer.usage).toBe(usage | GPUBufferUsage.COPY_DST);
    expect(buffer.size).toBe(4);
    expect(buffer.label).toBe('a');
    buffer.destroy();
  });
});

describe('refuses', () => {
  const fake = (limits: object, destroyed: string[] = []) => ({
    limits: { maxBufferSize: 64, maxStorageBufferBindingSize: 32, ...limits },
    queue: device.queue,
    createBuffer(descriptor: GPUBufferDescriptor) {
      const buffer = device.createBuffer(descriptor);
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        destroyed.push(descriptor.label ?? '');
        destroy();
      };
      return buffer;
    },
  });
  const F32 = (length: number) =>
    ({ dtype: 'F32', shape: [length], data: new Float32Array(length) }) as const;

  it('what is longer than the limits of the device, and leaves nothing behind', async () => {
    const container = deserialize(serialize({ a: F32(8), b: F32(9), c: F32(17) }));
    const destroyed: string[] = [];
    const small = fake({}, destroyed);
    const error = await thrownBy(() => toBuffers(small, container));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toContain('"b": 36 bytes, and a buffer of this device has at most 32');
    expect(destroyed).toEqual(['a']);
    const usage = GPUBufferUsage.VERTEX;
    expect((await toBuffer(small, container.getTensor('b'), { usage })).size).toBe(36);
    const beyond = await thrownBy(() => toBuffer(small, container.getTensor('c'), { usage }));
    expect(beyond.message).toContain('at most 64');
  });

  it('to go on when the container is closed, or the signal aborted, between two chunks', async () => {
    const path = `${folder}/closed.safetensors`;
    const data = new Uint8Array(2 ** 20 * 40);
    await saveFile({ a: { dtype: 'U8', shape: [data.length], data } }, path);
    const destroyed: string[] = [];
    const large = fake({ maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 }, destroyed);
    const model = await openModel(path);
    const closing = toBuffer(large, model.getTensor('a'), { raw: true });
    model.close();
    expect((await thrownBy(() => closing)).code).toBe('ERR_SAFETENSORS_CLOSED');
    using again = await openModel(path);
    const controller = new AbortController();
    const aborting = toBuffer(large, again.getTensor('a'), {
      raw: true,
      signal: controller.signal,
    });
    controller.abort(new Error('enough'));
    expect((await thrownBy(() => aborting)).message).toBe('enough');
    expect(destroyed).toEqual(['a', 'a']);
  });
});
