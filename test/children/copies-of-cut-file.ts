/**
 * Cuts a mapped file short and has adapters copy what is lost, the backends being no more than what they
 * call; prints how each conversion ended, and what was built and not given up.
 */
import { copyFileSync, renameSync, truncateSync } from 'node:fs';
import { type Container, type SafetensorsError, safeOpenSync, saveFile } from 'safetensors-mmap';
import { toArray } from 'safetensors-mmap/jax';
import { toTensor, toTensors } from 'safetensors-mmap/tfjs';
import { toBuffer, toBuffers } from 'safetensors-mmap/webgpu';

const [path] = process.argv.slice(2);

const ELEMENTS = 100_000;

let kept = 0;
const keep = () => {
  kept++;
  return {
    dispose: () => {
      kept--;
    },
    destroy: () => {
      kept--;
    },
  };
};

// As its backend `wasm` does, of what the backend `cpu` keeps.
const tf = {
  tensor: (values: Int32Array | Float32Array) => {
    values.slice();
    return keep();
  },
};
const jax = {
  numpy: {
    array: (values: Float32Array) => {
      values.slice();
      return keep();
    },
    zeros: keep,
  },
};
const device = {
  limits: { maxBufferSize: 2 ** 30, maxStorageBufferBindingSize: 2 ** 30 },
  queue: {
    writeBuffer: (_buffer: object, _at: number, bytes: Uint8Array) => bytes.slice(),
    onSubmittedWorkDone: async () => {},
  },
  createBuffer: keep,
};

const conversions: Record<string, (container: Container) => unknown> = {
  'as other integers': (container) => toTensor(tf, container.getTensor('i')),
  'as other integers, all': (container) => toTensors(tf, container, { names: ['i'] }),
  'copied by one of its backends': (container) => toTensor(tf, container.getTensor('f')),
  'copied by one of its backends, all': (container) => toTensors(tf, container, { names: ['f'] }),
  'copied by the backend': (container) => toArray(jax, container.getTensor('f')),
  uploaded: (container) => toBuffer(device, container.getTensor('f')),
  'uploaded, all': (container) => toBuffers(device, container, { names: ['f'] }),
  'uploaded raw': (container) => toBuffer(device, container.getTensor('i'), { raw: true }),
};

async function endOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return 'done';
  } catch (error) {
    return (error as SafetensorsError).code ?? String(error);
  }
}

await saveFile(
  {
    i: { dtype: 'I16', shape: [ELEMENTS], data: new Int16Array(ELEMENTS).fill(7) },
    f: { dtype: 'F32', shape: [ELEMENTS], data: new Float32Array(ELEMENTS).fill(7) },
  },
  `${path}.whole`,
  { fsync: false },
);
const ends: Record<string, unknown> = {};
for (const [way, convert] of Object.entries(conversions)) {
  copyFileSync(`${path}.whole`, path);
  using file = safeOpenSync(path);
  const tensor = file.getTensor('f');
  const whole = await endOf(() => convert(file));
  // Another file takes the name: this one stays as it was.
  renameSync(path, `${path}.old`);
  const renamed = await endOf(() => file.assertIntact());
  truncateSync(`${path}.old`, 4096);
  const before = await endOf(() => tensor.assertIntact());
  kept = 0;
  const cut = await endOf(() => convert(file));
  const after = [() => tensor.assertIntact(), () => file.assertIntact()];
  const intact = await Promise.all(after.map(endOf));
  file.close();
  const closed = await Promise.all(after.map(endOf));
  ends[way] = { whole, renamed, before, cut, kept, intact, closed };
}
console.log(JSON.stringify(ends));
