import { inspect, types } from 'node:util';
import { DTYPES, type Dtype, type DtypeInfo } from '../dtypes.ts';
import { quoteName } from '../escape.ts';
import { byteCount, elementCount, fillsBytes, MAX_SIZE } from '../layout.ts';
import { type Tensor, tensorPlace } from '../tensor.ts';
import { type ByteSource, TensorSource, ViewSource } from './source.ts';
import { STEP_TENSORS, type Steps } from './steps.ts';

/** The type of a tensor. */
export interface TensorSpec {
  readonly dtype: Dtype;
  /** Dimensions in C order; `[]` for a scalar. */
  readonly shape: readonly number[];
}

/** A tensor to be written; a {@link Tensor} of an open container is one. */
export interface TensorLike extends TensorSpec {
  /**
   * The elements in C order, little-endian: a Uint8Array (a Buffer is one) or a DataView of the raw
   * bytes for any dtype, or the typed array of the dtype that {@link Tensor.data} is (for F16 a
   * Float16Array too).
   */
  readonly data: ArrayBufferView;
}

/** Values by name, in any of the forms that JavaScript has for that. */
export type Named<T> =
  | ReadonlyMap<string, T>
  | Readonly<Record<string, T>>
  | Iterable<readonly [name: string, value: T]>;

/** Tensors by name. A container is an iterable of them. */
export type TensorsLike = Named<TensorLike>;

/** A tensor's place in a file, before it has one. */
export interface CheckedSpec {
  readonly name: string;
  readonly dtype: DtypeInfo;
  readonly shape: readonly number[];
  readonly byteLength: number;
}

export interface CheckedTensor extends CheckedSpec {
  readonly source: ByteSource;
}

/**
 * Tensors, the bytes of those that have to be read read on other threads; `undefined` where nothing has to
 * be read for them.
 */
export function loadAll(
  tensors: readonly CheckedTensor[],
  signal: AbortSignal | undefined,
): Promise<CheckedTensor[]> | undefined {
  const loading = tensors.map(({ source }) => source.load(signal));
  if (loading.every((one) => one === undefined)) return undefined;
  return Promise.all(
    tensors.map(async (tensor, i) => ({ ...tensor, source: (await loading[i]) ?? tensor.source })),
  );
}

const DTYPE_BY_NAME: ReadonlyMap<unknown, DtypeInfo> = new Map(
  DTYPES.map((dtype) => [dtype.name, dtype]),
);

const METADATA_NAME = '__metadata__';

/**
 * Tensors to be written, each as it is when it is its turn: later changes of the objects change nothing. Which
 * ones they are is settled with the first step, but for those that an iterable makes.
 *
 * @throws {TypeError} for what is of a wrong type
 * @throws {RangeError} for a name, a dtype, a shape or a length that cannot be
 * @throws {SafetensorsError} CLOSED for a tensor whose container has been closed
 */
export function checkTensors(tensors: TensorsLike): Steps<CheckedTensor[]> {
  return checkNamed(tensors, 'tensors', (name, tensor) => {
    const spec = checkSpec(name, tensor);
    const source = tensorSource(tensor) ?? checkView(name, spec.dtype, tensor.data);
    if (source.byteLength !== spec.byteLength) {
      throw new RangeError(
        `tensor ${quoteName(name)}: data: expected ${spec.byteLength} bytes for ` +
          `${spec.dtype.name} of shape [${spec.shape.join(', ')}], found ${source.byteLength}`,
      );
    }
    const { dtype, shape, byteLength } = spec;
    return { name, dtype, shape, byteLength, source };
  });
}

/** As {@link checkTensors}, for tensors whose bytes are yet to come. */
export function checkSpecs(specs: Named<TensorSpec>): Steps<CheckedSpec[]> {
  return checkNamed(specs, 'specs', checkSpec);
}

/** Memory as the source of a tensor's bytes, or of a part of them. */
function checkView(name: string, dtype: DtypeInfo, data: ArrayBufferView): ByteSource {
  if (!ArrayBuffer.isView(data)) {
    const found = `found ${inspect(data, { depth: 0 })}`;
    throw new TypeError(`tensor ${quoteName(name)}: data: expected a typed array, ${found}`);
  }
  const kind = types.isTypedArray(data) ? data[Symbol.toStringTag] : 'DataView';
  const own = dtype.array.name;
  const fits = kind === 'Uint8Array' || kind === 'DataView' || kind === own;
  if (!fits && !(dtype.name === 'F16' && (kind as string) === 'Float16Array')) {
    throw new TypeError(
      `tensor ${quoteName(name)}: data: expected ${own === 'Uint8Array' ? '' : `${own}, or `}` +
        `raw bytes as a Uint8Array or a DataView, for ${dtype.name}, found ${kind}`,
    );
  }
  return new ViewSource(data);
}

/** The bytes of a tensor of ours where they are, aligned or not; undefined for anything else. */
function tensorSource(tensor: unknown): ByteSource | undefined {
  const place = tensorPlace(tensor);
  if (place === undefined) return undefined;
  const { storage, begin, end } = place;
  storage.assertOpen();
  return new TensorSource(storage, begin, end);
}

/**
 * A piece of a tensor's bytes.
 * @throws {TypeError} for memory of another kind, and a tensor of another dtype
 */
export function checkPiece({ name, dtype }: CheckedSpec, piece: unknown): ByteSource {
  const source = tensorSource(piece);
  if (source === undefined) return checkView(name, dtype, piece as ArrayBufferView);
  const { dtype: found } = piece as Tensor;
  if (found === dtype.name) return source;
  throw new TypeError(
    `tensor ${quoteName(name)}: data: expected a tensor of ${dtype.name}, found ${found}`,
  );
}

function* checkNamed<T, R>(
  named: Named<T>,
  what: string,
  check: (name: string, value: T) => R,
): Steps<R[]> {
  const checked: R[] = [];
  const { pairs, haveDistinctNames } = pairsOf(named, what);
  const seen = haveDistinctNames ? undefined : new Set<string>();
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length < 2) {
      throw new TypeError(`${what}: expected [name, value] pairs, found ${inspect(pair)}`);
    }
    const [name, value] = pair;
    checkName(name);
    if (seen?.add(name).size === checked.length)
      throw new RangeError(`${what}: expected each name once, found ${quoteName(name)} twice`);
    checked.push(check(name, value));
    if (checked.length % STEP_TENSORS === 0) yield;
  }
  return checked;
}

interface Pairs<T> {
  readonly pairs: Iterable<readonly [string, T]>;
  readonly haveDistinctNames: boolean;
}

function pairsOf<T>(named: Named<T>, what: string): Pairs<T> {
  if (typeof named !== 'object' || named === null || ArrayBuffer.isView(named)) {
    const found = `found ${inspect(named, { depth: 0 })}`;
    throw new TypeError(`${what}: expected a Map, an object or an iterable of pairs, ${found}`);
  }
  // What the Map itself has: an iterator of a subclass might give a name twice.
  if (types.isMap(named)) {
    const { keys, values } = Map.prototype;
    return distinctPairs<T>([...keys.call(named)], [...values.call(named)]);
  }
  if (Symbol.iterator in named) {
    return { pairs: Array.isArray(named) ? [...named] : named, haveDistinctNames: false };
  }
  const names = Object.keys(named);
  return distinctPairs(
    names,
    names.map((name) => named[name]),
  );
}

/** Of names that cannot be there twice. Pairs that are made one by one are not there all at once. */
function distinctPairs<T>(names: readonly string[], values: readonly T[]): Pairs<T> {
  const pairs = function* (): Generator<readonly [string, T]> {
    for (let i = 0; i < names.length; i++) yield [names[i], values[i]];
  };
  return { pairs: pairs(), haveDistinctNames: true };
}

function checkName(name: unknown): asserts name is string {
  if (typeof name !== 'string') {
    throw new TypeError(`name: expected a string, found ${inspect(name)}`);
  }
  if (name === METADATA_NAME) {
    throw new RangeError(`name: expected a tensor's, found ${METADATA_NAME}, which is no tensor's`);
  }
  checkText(name, 'name');
}

/** @throws {RangeError} for lone surrogates, which UTF-8 has no bytes for */
export function checkText(text: string, what: string): void {
  if (text.isWellFormed()) return;
  throw new RangeError(`${what}: expected Unicode, found a lone surrogate in ${quoteName(text)}`);
}

function checkSpec(name: string, spec: TensorSpec): CheckedSpec {
  const fail = (Failure: typeof TypeError, what: string, expected: string, found: unknown) =>
    new Failure(
      `tensor ${quoteName(name)}: ${what}expected ${expected}, found ${inspect(found, { depth: 0 })}`,
    );
  if (typeof spec !== 'object' || spec === null) {
    throw fail(TypeError, '', 'an object with dtype and shape', spec);
  }
  const { dtype: dtypeName, shape: dimensions } = spec;
  const dtype = DTYPE_BY_NAME.get(dtypeName);
  if (dtype === undefined) {
    const Failure = typeof dtypeName === 'string' ? RangeError : TypeError;
    throw fail(Failure, 'dtype: ', `one of ${DTYPES.map((d) => d.name).join(', ')}`, dtypeName);
  }
  if (!Array.isArray(dimensions)) throw fail(TypeError, 'shape: ', 'an array', dimensions);
  const shape: readonly number[] = [...dimensions];
  for (const dimension of shape) {
    if (typeof dimension !== 'number') throw fail(TypeError, 'shape: ', 'numbers', dimension);
    if (!Number.isSafeInteger(dimension) || dimension < 0) {
      throw fail(RangeError, 'shape: ', 'integers from 0 to 2^53 − 1', dimension);
    }
  }
  const elements = elementCount(shape);
  if (elements !== undefined && !fillsBytes(elements, dtype.bits)) {
    throw fail(RangeError, 'shape: ', `whole bytes of ${dtype.name}`, shape);
  }
  const byteLength = elements === undefined ? Infinity : byteCount(elements, dtype.bits);
  if (byteLength > MAX_SIZE) throw fail(RangeError, 'shape: ', 'at most 2^53 − 1 bytes', shape);
  return { name, dtype, shape, byteLength };
}
