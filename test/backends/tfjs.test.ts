import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import { openModel, saveFile } from 'safetensors-mmap';
import { dtypes, toTensor, toTensors } from 'safetensors-mmap/tfjs';
import { beforeAll, describe, expect, it } from 'vitest';
import { thrownBy } from '../support/errors.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { adapterContract } from './support/contract.ts';

const folder = temporaryFolder();

beforeAll(async () => {
  await tf.setBackend('cpu');
  await tf.ready();
});

/** What the `cpu` backend keeps: `dataSync` would give a copy of booleans. */
function backendValues(dataId: object): ArrayBufferView {
  const { data } = tf.backend() as unknown as {
    data: { get(dataId: object): { values: ArrayBufferView } };
  };
  return data.get(dataId).values;
}

adapterContract<tf.Tensor>({
  dtypes,
  one: (tensor, options) => toTensor(tf, tensor, options),
  all: (container, options) => toTensors(tf, container, options),
  elements: ({ dataId }) => backendValues(dataId),
  shape: (built) => built.shape,
});

it('makes tensors of the type that the table names', async () => {
  const path = `${folder}/types.safetensors`;
  await saveFile(
    {
      BOOL: { dtype: 'BOOL', shape: [2], data: Uint8Array.of(1, 0) },
      I16: { dtype: 'I16', shape: [2], data: Int16Array.of(-3, 4) },
      BF16: { dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3f80, 0xc000) },
    },
    path,
  );
  using container = await openModel(path);
  const built = await toTensors(tf, container, { decode: 'float32' });
  expect(built.get('BOOL')?.dtype).toBe('bool');
  expect(built.get('I16')?.dtype).toBe('int32');
  expect(built.get('BF16')?.dtype).toBe('float32');
  expect(Array.from(tf.add(built.get('BF16') ?? 0, 1).dataSync())).toEqual([2, -1]);
  expect(Array.from(tf.mul(built.get('I16') ?? 0, 2).dataSync())).toEqual([-6, 8]);
});

it('computes what it computes over arrays of its own', async () => {
  const path = `${folder}/layer.safetensors`;
  const w = Float32Array.from({ length: 64 * 32 }, (_, i) => Math.sin(i * 0.37));
  const x = tf.tensor2d(
    Float32Array.from({ length: 128 }, (_, i) => Math.cos(i)),
    [2, 64],
  );
  await saveFile({ w: { dtype: 'F32', shape: [64, 32], data: w } }, path);
  using container = await openModel(path);
  const weight = toTensor(tf, container.getTensor('w')) as tf.Tensor2D;
  const found = tf.matMul(x, weight).dataSync();
  expect(found).toEqual(tf.matMul(x, tf.tensor2d(w, [64, 32])).dataSync());
  expect(new Set(found).size).toBeGreaterThan(50);
});

describe('of many', () => {
  it('disposes of what was made before one failed, and makes none before all are checked', async () => {
    const path = `${folder}/failing.safetensors`;
    await saveFile(
      {
        // In the order of the file: the F32 comes after the I64.
        big: { dtype: 'I64', shape: [2], data: BigInt64Array.of(1n, -(2n ** 31n) - 1n) },
        fine: { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) },
      },
      path,
    );
    using container = await openModel(path);
    const before = tf.memory().numTensors;
    const names = ['fine', 'big'];
    const refused = await thrownBy(() => toTensors(tf, container, { names }));
    expect(refused.code).toBe('ERR_SAFETENSORS_UNSUPPORTED_DTYPE');
    const error = await thrownBy(() => toTensors(tf, container, { names, integers: 'int32' }));
    expect(error).toBeInstanceOf(RangeError);
    expect(tf.memory().numTensors).toBe(before);
    const built = await toTensors(tf, container, { names: ['fine'] });
    expect(tf.memory().numTensors).toBe(before + 1);
    tf.dispose([...built.values()]);
  });
});

it.runIf(process.platform === 'linux')('takes no memory while it computes', () => {
  const child = new URL('out/test/backends/children/memory-of-tfjs.js', import.meta.url);
  const output = execFileSync(process.execPath, ['--expose-gc', fileURLToPath(child), folder]);
  const { weights, used, copied }: Record<string, number> = JSON.parse(
    output.toString().split('\n').at(-2) ?? '',
  );
  expect(weights).toBe(128 * 2 ** 20);
  expect(used).toBeLessThan(weights / 8);
  expect(copied, 'what the measurement says of a copy').toBeGreaterThan(0.9 * weights);
});
