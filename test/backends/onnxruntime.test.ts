import { execFileSync } from 'node:child_process';
import { copyFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as node from 'onnxruntime-node';
import * as web from 'onnxruntime-web';
import { type Container, openModel, saveFile, type TensorLike } from 'safetensors-mmap';
import { dtypes, toExternalData, toFeeds, toTensor, toTensors } from 'safetensors-mmap/onnxruntime';
import { describe, expect, it, vi } from 'vitest';
import { thrownBy } from '../support/errors.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { adapterContract } from './support/contract.ts';
import { ELEMENT_TYPES, type Initializer, type OnnxGraph, onnxModel } from './support/onnx.ts';

const folder = temporaryFolder();

describe.each([
  ['onnxruntime-node', node],
  ['onnxruntime-web', web],
] as const)('%s', (_, ort) => {
  adapterContract<node.Tensor>({
    dtypes,
    one: (tensor, options) => toTensor(ort, tensor, options),
    all: (container, options) => toTensors(ort, container, options),
    elements: (built) => built.data as Exclude<node.Tensor['data'], string[]>,
    shape: (built) => built.dims,
  });

  it('checks all dtypes before it makes a tensor', async () => {
    const path = `${folder}/mixed.safetensors`;
    await saveFile(
      {
        good: { dtype: 'F32', shape: [1], data: new Float32Array(1) },
        bad: { dtype: 'BF16', shape: [1], data: new Uint16Array(1) },
      },
      path,
    );
    using container = await openModel(path);
    const Tensor = vi.fn(ort.Tensor);
    expect((await thrownBy(() => toTensors({ Tensor }, container))).code).toMatch(
      /UNSUPPORTED_DTYPE$/,
    );
    expect(Tensor).not.toHaveBeenCalled();
    await toTensors({ Tensor }, container, { decode: 'float32' });
    expect(Tensor).toHaveBeenCalledTimes(2);
  });

  // The kernels for the web have no Identity of 8 and 16 bits.
  const types = Object.values(dtypes).flatMap(({ type, option }) => (option ? [] : [type]));
  const run = ort === node ? types : ['float32', 'int32', 'int64', 'uint8', 'bool'];
  it.each(run)('runs over %s', async (name) => {
    const type = name as keyof typeof ELEMENT_TYPES;
    const [dtype] = Object.entries(dtypes).find(([, row]) => row.type === type) ?? [];
    const path = `${folder}/${type}-${_}.safetensors`;
    const data = Uint8Array.of(1, 0, 1, 1, 0, 0, 1, 0, 0, 1, 1, 1, 0, 1, 0, 1).slice(0, 16);
    const bits = /\d+$/.exec(type)?.[0] ?? '8';
    const shape = [128 / Number(bits)];
    await saveFile({ x: { dtype, shape, data } as TensorLike }, path);
    using model = await openModel(path);
    const session = await ort.InferenceSession.create(
      onnxModel({
        nodes: [{ op: 'Identity', inputs: ['x'], outputs: ['y'] }],
        inputs: [{ name: 'x', type, shape }],
        outputs: [{ name: 'y', type, shape }],
      }),
    );
    const { y } = await session.run(await toFeeds(ort, session, model));
    const { buffer, byteOffset, byteLength } = y.data as Uint8Array;
    expect(Buffer.compare(new Uint8Array(buffer, byteOffset, byteLength), data)).toBe(0);
  });
});

/** A layer of 3 to 4, and its activation. */
const LAYER: OnnxGraph = {
  nodes: [
    { op: 'MatMul', inputs: ['x', 'layer.weight'], outputs: ['xw'] },
    { op: 'Add', inputs: ['xw', 'layer.bias'], outputs: ['sum'] },
    { op: 'Tanh', inputs: ['sum'], outputs: ['y'] },
  ],
  inputs: [{ name: 'x', type: 'float32', shape: [2, 64] }],
  outputs: [{ name: 'y', type: 'float32', shape: [2, 32] }],
};
const WEIGHT = { name: 'layer.weight', type: 'float32', shape: [64, 32] } as const;
const BIAS = { name: 'layer.bias', type: 'float32', shape: [32] } as const;

function floats(length: number, factor: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(i * factor));
}

async function layerWeights(): Promise<Container> {
  const path = `${folder}/layer.safetensors`;
  await saveFile(
    {
      'layer.weight': { dtype: 'F32', shape: [64, 32], data: floats(64 * 32, 0.37) },
      'layer.bias': { dtype: 'F32', shape: [32], data: floats(32, 1.1) },
      other: { dtype: 'BF16', shape: [1], data: new Uint16Array(1) },
    },
    path,
  );
  return openModel(path);
}

describe('a model with weights from safetensors', () => {
  const x = new node.Tensor('float32', floats(128, 0.21), [2, 64]);

  /**
   * What ONNX Runtime computes from weights that it loads itself. It packs the matrices that it owns for
   * another kernel, which sums in another order; without that, equal is equal in every bit.
   */
  async function expected(model: Uint8Array | string, packed = false): Promise<Float32Array> {
    const extra = { session: { disable_prepacking: packed ? '0' : '1' } };
    const session = await node.InferenceSession.create(model as string, { extra });
    return (await session.run({ x })).y.data as Float32Array;
  }

  const inFiles = (path: (name: string) => string): Uint8Array =>
    onnxModel({
      ...LAYER,
      initializers: [WEIGHT, BIAS].map(
        (value): Initializer => ({ ...value, path: path(value.name) }),
      ),
    });

  it('as inputs: the outputs of initialisers in the model', async () => {
    using weights = await layerWeights();
    const initializers = [WEIGHT, BIAS].map((value) => ({
      ...value,
      bytes: weights.getTensor(value.name).bytes,
    }));
    const own = await expected(onnxModel({ ...LAYER, initializers }));
    const session = await node.InferenceSession.create(
      onnxModel({ ...LAYER, inputs: [...LAYER.inputs, WEIGHT, BIAS] }),
    );
    const feeds = await toFeeds(node, session, weights);
    expect(Object.keys(feeds)).toEqual(['layer.weight', 'layer.bias']);
    const { y } = await session.run({ ...feeds, x });
    const found = y.data as Float32Array;
    expect(found).toEqual(own);
    const packed = await expected(onnxModel({ ...LAYER, initializers }), true);
    expect(Math.max(...found.map((value, i) => Math.abs(value - packed[i])))).toBeLessThan(1e-6);
    expect(new Set(found).size).toBeGreaterThan(50);
  });

  it('as external data: the outputs of files that ONNX Runtime reads', async () => {
    using weights = await layerWeights();
    for (const { name } of [WEIGHT, BIAS]) {
      writeFileSync(`${folder}/${name}.bin`, weights.getTensor(name).bytes);
    }
    writeFileSync(
      `${folder}/model.onnx`,
      inFiles((name) => `${name}.bin`),
    );
    const own = await expected(`${folder}/model.onnx`, true);
    const externalData = toExternalData(weights, [WEIGHT.name, BIAS.name]);
    const session = await node.InferenceSession.create(
      inFiles((name) => name),
      { externalData },
    );
    expect((await session.run({ x })).y.data).toEqual(own);
    expect(new Set(own).size).toBeGreaterThan(50);
  });

  // ONNX Runtime has no BF16 in JavaScript, but its models do.
  it.each([
    ['F16', 'float16', Uint16Array.of(0x3c00, 0xc100, 0x7bff)],
    ['BF16', 'bfloat16', Uint16Array.of(0x3f80, 0xc020, 0x4049)],
    ['I64', 'int64', BigInt64Array.of(1n, -2n, 3n)],
    ['I8', 'int8', Int8Array.of(1, -128, 127)],
    ['BOOL', 'bool', Uint8Array.of(1, 0, 1)],
  ] as const)('as external data: an initialiser of %s', async (dtype, type, data) => {
    const path = `${folder}/external-${dtype}.safetensors`;
    const tensor = { dtype, shape: [3], data } as TensorLike;
    await saveFile(
      { w: tensor, other: { dtype: 'U8', shape: [1], data: new Uint8Array(1) } },
      path,
    );
    using weights = await openModel(path);
    const to = ELEMENT_TYPES.float32;
    const model = onnxModel({
      nodes: [{ op: 'Cast', inputs: ['w'], outputs: ['y'], integers: { to } }],
      inputs: [],
      outputs: [{ name: 'y', type: 'float32', shape: [3] }],
      initializers: [{ name: 'w', type, shape: [3], path: 'w' }],
    });
    const externalData = toExternalData(weights, ['w']);
    const session = await node.InferenceSession.create(model, { externalData });
    const { y } = await session.run({});
    expect(y.data).toEqual(
      /^I|^BOOL/.test(dtype) ? Float32Array.from(data, Number) : weights.getTensor('w').toFloat32(),
    );
  });

  it('does not outlive a file that is closed: a run is refused, a session with a copy goes on', async () => {
    const weights = await layerWeights();
    copyFileSync(`${folder}/layer.safetensors`, `${folder}/closed.safetensors`);
    const output = execFileSync(process.execPath, [
      '--expose-gc',
      child('run-after-close'),
      `${folder}/closed.safetensors`,
    ]);
    weights.close();
    const { refused, same } = JSON.parse(output.toString());
    expect(refused).toMatch(/expected 8192, got 0/);
    expect(same).toBe(true);
  });
});

function child(name: string): string {
  return fileURLToPath(new URL(`out/test/backends/children/${name}.js`, import.meta.url));
}

describe('memory', () => {
  const MIB = 2 ** 20;
  it.runIf(process.platform === 'linux')('is that of the file while a model runs', () => {
    const output = execFileSync(process.execPath, ['--expose-gc', child('memory-of-runs'), folder]);
    const { weights, fed, external }: Record<string, number> = JSON.parse(output.toString());
    expect(weights).toBe(256 * MIB);
    expect(fed, 'as inputs').toBeLessThan(16 * MIB);
    expect(external, 'as external data').toBeGreaterThan(0.9 * weights);
  });

  it.runIf(process.platform === 'linux')('is that of the file, and a copy, in WebAssembly', () => {
    const output = execFileSync(process.execPath, [child('memory-of-web-runs'), folder]);
    const { weights, made, run }: Record<string, number> = JSON.parse(output.toString());
    expect(weights).toBe(64 * MIB);
    expect(made, 'of a tensor').toBeLessThan(16 * MIB);
    expect(run, 'of a run').toBeGreaterThan(0.9 * weights);
  });
});
