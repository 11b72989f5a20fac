import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { convertCheckpoint } from '../src/convert/index.ts';
import { Trace } from '../src/convert/pickle/trace.ts';
import { readTarCheckpoint } from '../src/convert/tar.ts';
import { native } from '../src/native.ts';
import { checkpoint, named, pickle, py, tar, tensor } from './support/checkpoints.ts';
import { childReport } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();
const folder = temporaryFolder();

const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => i);

describe('a checkpoint that is not mapped', () => {
  afterEach(() => vi.restoreAllMocks());

  it('is converted to the same bytes', async () => {
    const elements = 3 * 2 ** 20;
    const view = (key: string, shape: number[], strides: number[], offset = 0) =>
      tensor({ key, elements, shape, strides, offset });
    const value = named(
      ['plain', view('0', [elements], [1])],
      ['turned', view('1', [1024, 3072], [1, 1024])],
      ['part', view('2', [1000], [2], 7)],
      ['wide', view('3', [5, 1000], [0, 1], 3)],
      ['numbers', tensor({ key: '4', storage: 'ComplexFloatStorage', elements: elements / 2 })],
    );
    const data = Buffer.from(numbers(elements).buffer);
    const storages = Object.fromEntries([0, 1, 2, 3, 4].map((key) => [key, data]));
    const path = makeFile(checkpoint(value, storages), 'model.pt');
    const [mapped, read] = ['mapped', 'read'].map((name) => join(folder, `${name}.safetensors`));
    await convertCheckpoint(path, mapped, { fsync: false });
    const addon = native();
    const open = addon.open.bind(addon);
    const opened = vi
      .spyOn(addon, 'open')
      .mockImplementation((from, prefix) => open(from, prefix, 'read'));
    const gathered = vi.spyOn(addon, 'gatherAsync');
    const { files } = await convertCheckpoint(path, read, { fsync: false });
    expect(files[0].tensors.length).toBe(5);
    expect(opened.mock.calls.some(([from]) => from === path)).toBe(true);
    expect(gathered).not.toHaveBeenCalled();
    expect(readFileSync(read).equals(readFileSync(mapped))).toBe(true);
  });
});

describe('a tar file of many small tensors', () => {
  const number = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(value));
    return bytes;
  };
  const many = (count: number) => {
    const storage = pickle(py.tuple(py.int(7), py.text('cpu'), py.global('torch', 'FloatStorage')));
    const scalar = (key: number) =>
      Buffer.concat([
        pickle(py.tuple(py.int(key), py.int(7), py.global('torch', 'FloatTensor'))),
        number(0),
        number(0),
      ]);
    const storages = [pickle(py.int(1)), storage, number(1), Buffer.alloc(4), pickle(py.list())];
    const tensors = [pickle(py.int(count)), ...Array.from({ length: count }, (_, i) => scalar(i))];
    const root = pickle(py.list(py.persistent(py.int(3))));
    return tar([
      { name: 'storages', data: Buffer.concat(storages) },
      { name: 'tensors', data: Buffer.concat(tensors) },
      { name: 'pickle', data: root },
    ]);
  };

  it('is read once', async () => {
    const bytes = many(20_000);
    let [reads, bytesRead] = [0, 0];
    const read = async (begin: number, end: number) => {
      reads++;
      bytesRead += end - begin;
      return bytes.subarray(begin, end);
    };
    const file = { path: 'model.tar', size: bytes.length, read };
    const { root } = await readTarCheckpoint(file, new Trace());
    expect(root).toMatchObject({ items: [{ fields: { shape: [] } }] });
    expect(reads).toBeLessThan(20);
    expect(bytesRead).toBeLessThan(2 * bytes.length);
  });

  it('is refused where they are more than a checkpoint has', { timeout: 60_000 }, async () => {
    const bytes = many(200_000);
    const read = async (begin: number, end: number) => bytes.subarray(begin, end);
    const file = { path: 'model.tar', size: bytes.length, read };
    const error = await thrownBy(() => readTarCheckpoint(file, new Trace()));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_CHECKPOINT_LIMIT' });
  });
});

describe('paths of a conversion', () => {
  it('are those of the folder that it began in', async () => {
    const path = makeFile(checkpoint(named(['w', tensor()])), 'model.pt');
    expect(await childReport('convert-elsewhere', [path, folder])).toEqual({
      output: 'here.safetensors',
      there: true,
      index: 'out/model.safetensors.index.json',
    });
  });
});
