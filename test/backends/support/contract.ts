import {
  type AnyTensor,
  type Container,
  type Dtype,
  deserialize,
  openModel,
  saveFile,
  saveModel,
  serialize,
  type Tensor,
  type TensorLike,
} from 'safetensors-mmap';
import type { ConvertAllOptions, ConvertOptions, DtypeTable } from 'safetensors-mmap/onnxruntime';
import { describe, expect, it } from 'vitest';
import { ALL_DTYPES, patternBytes, tensorBytes } from '../../support/build.ts';
import { thrownBy } from '../../support/errors.ts';
import { temporaryFolder } from '../../support/temporary.ts';

/** An adapter with its library, as {@link adapterContract} calls it. */
export interface TestedAdapter<T> {
  dtypes: DtypeTable;
  one(tensor: Tensor, options?: ConvertOptions): T | Promise<T>;
  all(container: Container, options?: ConvertAllOptions): Promise<Map<string, T>>;
  /** The backend's elements: its own memory where the backend has it in JavaScript. */
  elements(built: T): ArrayBufferView | Promise<ArrayBufferView>;
  shape(built: T): readonly number[];
}

const SHAPE = [2, 3, 4];
const folder = temporaryFolder();
let files = 0;

/** Elements with a meaning in every dtype; integers of 64 bits fit 32, BOOL is 0 and 1. */
function tensorLike(dtype: Dtype, shape: readonly number[] = SHAPE): TensorLike {
  const data = patternBytes(tensorBytes(dtype, [...shape]), 7);
  if (dtype === 'BOOL') for (const [i, byte] of data.entries()) data[i] = byte & 1;
  if (/^[IU](32|64)$/.test(dtype)) {
    const step = Number(dtype.slice(1)) / 8;
    for (const i of data.keys()) if (i % step > 2) data[i] = 0;
  }
  return { dtype, shape, data } as TensorLike;
}

async function mapped(tensors: Record<string, TensorLike>): Promise<Container> {
  const path = `${folder}/${files++}.safetensors`;
  await saveFile(tensors, path);
  return openModel(path);
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** What every adapter must do, against its real library. */
export function adapterContract<T>(adapter: TestedAdapter<T>): void {
  const { dtypes, one, all, elements, shape } = adapter;
  const rows = ALL_DTYPES.flatMap((dtype) => {
    const row = dtypes[dtype];
    return row ? [{ dtype, ...row }] : [];
  });
  const optionsOf = (option: string | undefined): ConvertOptions =>
    option === undefined
      ? {}
      : ({ [option]: { decode: 'float32', integers: 'int32' }[option] } as object);

  it.each(rows)('$dtype as $type, copy: $copy', async (row) => {
    const { dtype, option, as, copy } = row;
    using container = await mapped({ [dtype]: tensorLike(dtype) });
    const tensor: AnyTensor = container.getTensor(dtype);
    const built = await one(tensor, optionsOf(option));
    expect(shape(built)).toEqual(SHAPE);
    const found = await elements(built);
    if (as === 'float32') {
      expect(found).toEqual(tensor.toFloat32());
    } else if (as === 'int32') {
      expect(Array.from(found as Int32Array)).toEqual(Array.from(tensor.data, Number));
    } else {
      expect(Buffer.compare(bytesOf(found), tensor.bytes)).toBe(0);
    }
    const [before] = bytesOf(found);
    tensor.bytes[0] ^= 1;
    expect(bytesOf(await elements(built))[0] !== before, 'shows what is written to the file').toBe(
      !copy,
    );
    if (!copy) {
      bytesOf(found)[1] ^= 1;
      expect(tensor.bytes[1], 'and is where the file is').toBe(bytesOf(found)[1]);
    }
  });

  it('takes all of a container, by name', async () => {
    const names = rows.map(({ dtype }) => dtype);
    using container = await mapped(
      Object.fromEntries(names.map((name) => [name, tensorLike(name)])),
    );
    const options = { decode: 'float32', integers: 'int32' } as const;
    const built = await all(container, options);
    expect([...built.keys()]).toEqual(container.keys());
    for (const [name, tensor] of container) {
      const expected = bytesOf(await elements(await one(tensor, options)));
      const found = built.get(name);
      if (found === undefined) throw new Error(`no ${name}`);
      expect(Buffer.compare(bytesOf(await elements(found)), expected), name).toBe(0);
    }
    const some = await all(container, { names: ['F32'] });
    expect([...some.keys()]).toEqual(['F32']);
  });

  it('takes scalars and tensors without elements', async () => {
    using container = deserialize(
      serialize({ scalar: tensorLike('F32', []), empty: tensorLike('F32', [2, 0, 3]) }),
    );
    const scalar = await one(container.getTensor('scalar'));
    expect(shape(scalar)).toEqual([]);
    expect(
      Buffer.compare(bytesOf(await elements(scalar)), container.getTensor('scalar').bytes),
    ).toBe(0);
    const empty = await one(container.getTensor('empty'));
    expect(shape(empty)).toEqual([2, 0, 3]);
    expect((await elements(empty)).byteLength).toBe(0);
  });

  it('takes slices: rows, which lie together, and columns, which do not', async () => {
    using container = await mapped({ a: tensorLike('F32') });
    const tensor = container.getTensor('a') as Tensor<'F32'>;
    for (const slice of [tensor.slice(1), tensor.slice(null, [1, 3], [0, 4, 2])]) {
      const built = await one(slice);
      expect(shape(built)).toEqual(slice.shape);
      expect(Buffer.compare(bytesOf(await elements(built)), slice.bytes)).toBe(0);
      expect(slice.size).toBe(slice.shape.length === 2 ? 12 : 8);
    }
  });

  it('takes the tensors of a model of several files, and of one that is read, not mapped', async () => {
    const path = `${folder}/model-${files++}`;
    const floats = [0, 1, 2].map((i) => Float32Array.from({ length: 24 }, (_, j) => 100 * i + j));
    const tensors = floats.map(
      (data, i) => [`t${i}`, { dtype: 'F32', shape: SHAPE, data }] as const,
    );
    await saveModel(new Map<string, TensorLike>(tensors), path, { maxShardSize: 100 });
    for (const backend of ['mmap', 'read'] as const) {
      using model = await openModel(path, { backend });
      expect([model.shards.length, model.backend]).toEqual([3, backend]);
      const built = await all(model);
      expect([...built.keys()]).toEqual(['t0', 't1', 't2']);
      for (const [i, found] of [...built.values()].entries()) {
        expect(await elements(found)).toEqual(floats[i]);
      }
    }
  });

  describe('refuses', () => {
    const refused = ALL_DTYPES.filter((dtype) => dtypes[dtype]?.option || !dtypes[dtype]);
    it.each(refused)('%s, with the tensor and the option that helps', async (dtype) => {
      const container = deserialize(serialize({ bad: tensorLike(dtype) }));
      const error = await thrownBy(() => one(container.getTensor('bad')));
      expect(error.code).toBe('ERR_SAFETENSORS_UNSUPPORTED_DTYPE');
      expect(error.tensor).toBe('bad');
      expect(error.message).toContain(`no ${dtype}`);
      expect(error.message).toContain(dtypes[dtype]?.option ?? '');
      const all_ = await thrownBy(() => all(container));
      expect(all_.code).toBe('ERR_SAFETENSORS_UNSUPPORTED_DTYPE');
    });

    it('integers that do not fit, and options that it does not know', async () => {
      const container = deserialize(
        serialize({ big: { dtype: 'I64', shape: [2], data: BigInt64Array.of(1n, 2n ** 40n) } }),
      );
      const big = container.getTensor('big');
      if (dtypes.I64?.option === 'integers') {
        const error = await thrownBy(() => one(big, { integers: 'int32' }));
        expect(error).toBeInstanceOf(RangeError);
        expect(error.message).toContain('"big": element 1 is 1099511627776');
      }
      for (const options of [{ decode: 'float16' }, { integers: true }]) {
        const wrong = await thrownBy(() => one(big, options as object));
        expect(wrong).toBeInstanceOf(TypeError);
      }
    });

    it('names that are not there, an aborted signal, a closed container', async () => {
      const container = await mapped({ a: tensorLike('F32') });
      const unknown = await thrownBy(() => all(container, { names: ['a', 'b'] }));
      expect(unknown.code).toBe('ERR_SAFETENSORS_TENSOR_NOT_FOUND');
      const signal = AbortSignal.abort(new Error('enough'));
      expect((await thrownBy(() => all(container, { signal }))).message).toBe('enough');
      const tensor = container.getTensor('a');
      container.close();
      expect((await thrownBy(() => one(tensor))).code).toBe('ERR_SAFETENSORS_CLOSED');
    });
  });
}
