import { tmpdir } from 'node:os';
import { create, globals } from 'webgpu';

Object.assign(globalThis, globals);

/**
 * A device of Dawn: the machine's GPU, or Mesa's renderer on the CPU, through Vulkan or OpenGL ES. Without
 * either, Dawn's `null` backend, which checks every call as the others do, and computes and stores nothing.
 */
export interface TestedDevice {
  device: GPUDevice;
  /** Whether it stores what is written. */
  stores: boolean;
  /** Ends it; Dawn keeps the process alive. */
  end(): void;
}

const TRIES: readonly { backend: string; options: GPURequestAdapterOptions }[] = [
  { backend: 'vulkan', options: {} },
  { backend: 'metal', options: {} },
  { backend: 'opengles', options: { featureLevel: 'compatibility' } },
  { backend: 'null', options: {} },
];

/** Without a screen, EGL has to be told; Mesa asks for the other. */
process.env.EGL_PLATFORM ??= 'surfaceless';
process.env.XDG_RUNTIME_DIR ??= tmpdir();

let gpu: GPU | undefined;

export async function testedDevice(): Promise<TestedDevice> {
  for (const { backend, options } of TRIES) {
    gpu = create([`backend=${backend}`]);
    const adapter = await gpu.requestAdapter(options);
    if (!adapter) continue;
    const device = await adapter.requestDevice();
    const stores = backend !== 'null';
    if (!stores) withoutRenderer('what a GPU reads back');
    return { device, stores, end: () => device.destroy() };
  }
  throw new Error('Dawn has no backend at all');
}

/** The backend of Dawn that {@link testedDevice} would take, but for `null`. */
export async function storingBackend(): Promise<string | undefined> {
  for (const { backend, options } of TRIES) {
    const adapter = await create([`backend=${backend}`]).requestAdapter(options);
    if (adapter) return backend === 'null' ? undefined : backend;
  }
  return undefined;
}

/**
 * Says what is left out where nothing can be read back.
 * @throws {Error} in CI that can install a renderer: as root
 */
export function withoutRenderer(what: string): void {
  const message = `${what}: there is no GPU, and no renderer on the CPU (libegl1, libgles2 and libegl-mesa0 on Debian)`;
  if (process.env.CI && process.getuid?.() === 0) throw new Error(message);
  console.warn(`LEFT OUT: ${message}`);
}

/** What is in a buffer. */
export async function readBack(device: GPUDevice, buffer: GPUBuffer): Promise<Uint8Array> {
  const { size } = buffer;
  const target = device.createBuffer({
    size,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, target, 0, size);
  device.queue.submit([encoder.finish()]);
  await target.mapAsync(GPUMapMode.READ);
  const bytes = new Uint8Array(target.getMappedRange()).slice();
  target.destroy();
  return bytes;
}
