import { describe, expect, it } from 'vitest';
import { toExternalData } from '../src/adapters/onnxruntime.ts';
import { toTensors } from '../src/adapters/tfjs.ts';
import { toBuffer, toBuffers } from '../src/adapters/webgpu.ts';
import { deserialize, serialize, type TensorLike } from '../src/index.ts';
import { thrownBy } from './support/errors.ts';

const MIB = 2 ** 20;

function containerOf(tensors: readonly TensorLike[]) {
  return deserialize(serialize(new Map(tensors.map((tensor, i) => [`t${i}`, tensor] as const))));
}

function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

/** A library whose tensors take their time; how many there are. */
function slowLibrary(ms: number) {
  const library = {
    live: 0,
    made: 0,
    tensor() {
      block(ms);
      library.live++;
      library.made++;
      return { dispose: () => void library.live-- };
    },
  };
  return library;
}

const F32 = { dtype: 'F32', shape: [1], data: new Float32Array(1) } as const;

describe('of many tensors', () => {
  it('others have turns while views are handed over, and a signal is seen', async () => {
    const container = containerOf(new Array(50).fill(F32));
    const library = slowLibrary(20);
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 1);
    const { signal } = controller;
    const error = await thrownBy(() => toTensors(library, container, { signal }));
    expect(error.message).toBe('enough');
    expect(library.made).toBeLessThan(10);
    expect(library.live).toBe(0);
  });

  it('others have turns while the integers of one are converted, and a signal is seen', async () => {
    // A second or more of work.
    const data = new BigInt64Array(2 ** 24).fill(7n);
    const container = containerOf([{ dtype: 'I64', shape: [data.length], data }]);
    const library = slowLibrary(0);
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error('enough')), 1);
    const options = { integers: 'int32', signal: controller.signal } as const;
    const error = await thrownBy(() => toTensors(library, container, options));
    expect(error.message).toBe('enough');
    expect(library.made).toBe(0);
  });

  it('closing the container meanwhile is CLOSED', async () => {
    const data = new BigInt64Array(2 ** 24).fill(7n);
    const container = containerOf([{ dtype: 'I64', shape: [data.length], data }]);
    setTimeout(() => container.close(), 1);
    const options = { integers: 'int32' } as const;
    const error = await thrownBy(() => toTensors(slowLibrary(0), container, options));
    expect(error.code).toBe('ERR_SAFETENSORS_CLOSED');
  });

  it('one that is named twice is made once', async () => {
    const container = containerOf([F32, F32]);
    const library = slowLibrary(0);
    const built = await toTensors(library, container, { names: ['t1', 't0', 't1', 't1'] });
    expect([...built.keys()]).toEqual(['t1', 't0']);
    expect(library.made).toBe(2);
    const external = toExternalData(container, ['t1', 't0', 't1']);
    expect(external.map(({ path }) => path)).toEqual(['t1', 't0']);
  });
});

/** A device that counts what it has not sent yet. */
function countingDevice() {
  const device = {
    limits: { maxBufferSize: 2 ** 28, maxStorageBufferBindingSize: 2 ** 27 },
    writes: [] as number[],
    mostUnsent: 0,
    unsent: 0,
    createBuffer: () => ({ destroy() {} }),
    queue: {
      writeBuffer(_: object, __: number, data: Uint8Array, from = 0, size = data.length - from) {
        device.writes.push(size);
        device.unsent += size;
        device.mostUnsent = Math.max(device.mostUnsent, device.unsent);
      },
      async onSubmittedWorkDone() {
        device.unsent = 0;
      },
    },
  };
  return device;
}

describe('uploads', () => {
  it.each([
    [15 * MIB, 8],
    [3 * MIB + 1, 20],
    [33 * MIB, 2],
  ])('of %i bytes, %i times, wait for the device before it has 32 MiB', async (bytes, count) => {
    const data = new Uint8Array(bytes);
    const container = containerOf(new Array(count).fill({ dtype: 'U8', shape: [bytes], data }));
    const device = countingDevice();
    await toBuffers(device, container, { raw: true });
    expect(device.writes.reduce((sum, size) => sum + size, 0)).toBe(
      Math.ceil(bytes / 4) * 4 * count,
    );
    expect(device.mostUnsent).toBeLessThan(32 * MIB);
    expect(device.mostUnsent).toBeGreaterThanOrEqual(16 * MIB);
    expect(Math.min(...device.writes)).toBeGreaterThan(0);
  });

  it.each([
    [0, []],
    [1, [4]],
    [4, [4]],
    [7, [4, 4]],
  ])('of %i bytes are writes of %j', async (bytes, writes) => {
    const data = new Uint8Array(bytes);
    const device = countingDevice();
    const container = containerOf([{ dtype: 'U8', shape: [bytes], data }]);
    await toBuffer(device, container.getTensor('t0'), { raw: true });
    expect(device.writes).toEqual(writes);
  });
});
