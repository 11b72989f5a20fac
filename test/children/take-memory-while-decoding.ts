/** Takes memory away while other threads work with it; prints what became of each attempt. */
import {
  decodeBlockScaledAsync,
  deserialize,
  fromFloat32Async,
  safeOpen,
  serialize,
  type Tensor,
} from 'safetensors-mmap';

const [path] = process.argv.slice(2);
const ROUNDS = 6;

/** Each works with arrays of tensors of a file, not with the tensors. */
const works: Record<string, (tensor: Tensor<'F32'>) => Promise<unknown>> = {
  values: ({ data }) => fromFloat32Async('F16', data),
  'a slice': (tensor) => fromFloat32Async('F16', tensor.slice([0, null, 2]).data),
  out: ({ data }) =>
    decodeBlockScaledAsync(
      { dtype: 'F8_E5M2', shape: [1024, data.length / 1024], data: new Uint8Array(data.length) },
      { dtype: 'F32', shape: [1, 1], data: new Float32Array(1) },
      { blockSize: [1024, data.length], out: data },
    ),
  weight: ({ bytes }) =>
    decodeBlockScaledAsync(
      { dtype: 'F8_E5M2', shape: [1024, bytes.length / 1024], data: bytes },
      { dtype: 'F32', shape: [1, 1], data: new Float32Array(1) },
      { blockSize: [1024, bytes.length] },
    ),
};

const outcomes: Record<string, string[]> = {};
async function note(what: string, work: Promise<unknown>): Promise<void> {
  const outcome = await work.then(
    () => 'done',
    (error) => error.name,
  );
  outcomes[what] = [...new Set([...(outcomes[what] ?? []), outcome])].sort();
}

for (const [what, work] of Object.entries(works)) {
  for (let round = 0; round < ROUNDS; round++) {
    const file = await safeOpen(path);
    const done = work(file.getTensor('x') as Tensor<'F32'>);
    if (round % 2 === 1) await new Promise(setImmediate);
    file.close();
    await note(what, done);
  }
}

for (let round = 0; round < ROUNDS; round++) {
  const elements = 2 ** 24;
  const bytes = serialize({
    x: { dtype: 'F16', shape: [elements], data: new Uint16Array(elements) },
  });
  const options = { maxByteLength: bytes.length };
  const buffer: ArrayBuffer = Reflect.construct(ArrayBuffer, [bytes.length, options]);
  const memory = new Uint8Array(buffer);
  memory.set(bytes);
  const done = deserialize(memory).getTensor('x').toFloat32Async();
  (buffer as unknown as { resize(length: number): void }).resize(0);
  await note('shrunk', done);
}
console.log(JSON.stringify(outcomes));
