import type { Dtype, TensorData } from './dtypes.ts';
import type { Storage } from './storage.ts';

/** Where the bytes of a tensor are. */
export interface TensorPlace {
  readonly storage: Storage;
  /** In bytes from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

let placeOf: (value: object) => TensorPlace | undefined;

/** Where the bytes of a tensor are, without touching them; undefined for what is no {@link Tensor}. */
export function tensorPlace(value: unknown): TensorPlace | undefined {
  return typeof value === 'object' && value !== null ? placeOf(value) : undefined;
}

/**
 * One tensor of a container: a view, not a copy, of its bytes.
 *
 * Nothing is read, and no typed array made, before {@link data} or {@link bytes} is asked for. The
 * views keep the memory alive on their own, whatever becomes of the tensor and the container;
 * closing the container empties them (their `length` becomes 0).
 */
export class Tensor<D extends Dtype = Dtype> {
  static {
    placeOf = (value) => {
      if (!(#storage in value)) return undefined;
      const { begins, ends } = value.#storage.table.columns;
      return {
        storage: value.#storage,
        begin: begins[value.#entry],
        end: ends[value.#entry],
      };
    };
  }

  readonly #storage: Storage;
  readonly #entry: number;
  #name: string | undefined;
  #shape: readonly number[] | undefined;
  #data: TensorData | undefined;

  /** @internal Tensors come from containers. */
  constructor(storage: Storage, entry: number, name?: string) {
    this.#storage = storage;
    this.#entry = entry;
    this.#name = name;
  }

  get name(): string {
    this.#name ??= this.#storage.table.name(this.#entry);
    return this.#name;
  }

  get dtype(): D {
    return this.#storage.table.dtype(this.#entry).name as D;
  }

  /** Dimensions in C order; `[]` for a scalar. */
  get shape(): readonly number[] {
    this.#shape ??= Object.freeze(this.#storage.table.shape(this.#entry));
    return this.#shape;
  }

  /** Number of elements: the product of the shape. */
  get size(): number {
    return this.#storage.table.size(this.#entry);
  }

  get byteLength(): number {
    return this.#storage.table.byteLength(this.#entry);
  }

  /**
   * Whether {@link data} is a view of the container's own memory. False for a tensor that the file
   * does not align to its elements: its `data` is a copy, made when it is first asked for.
   */
  get zeroCopy(): boolean {
    const { table, dataStart } = this.#storage;
    const { elementBytes } = table.dtype(this.#entry);
    return isAligned(dataStart + table.columns.begins[this.#entry], elementBytes);
  }

  /**
   * The elements, in the typed array of the dtype: F32 Float32Array, F64 Float64Array, C64
   * Float32Array (pairs), I8 Int8Array, I16 Int16Array, I32 Int32Array, I64 BigInt64Array, U16
   * Uint16Array, U32 Uint32Array, U64 BigUint64Array, F16 and BF16 Uint16Array (bits), all others
   * Uint8Array (packed, for those under 8 bits). The same array each time.
   *
   * Writing to it changes this process's view of the page, never the file.
   *
   * @throws {SafetensorsError} CLOSED
   * @throws {RangeError} when the tensor is longer than a typed array can be (4 GiB on Node 20)
   */
  get data(): TensorData<D> {
    if (this.#data === undefined) this.#data = this.#view();
    else this.#storage.assertOpen();
    return this.#data as TensorData<D>;
  }

  /**
   * The bytes as they are in the file, without copying, aligned or not.
   *
   * @throws {SafetensorsError} CLOSED
   * @throws {RangeError} as for {@link data}
   */
  get bytes(): Uint8Array {
    const { table, dataStart } = this.#storage;
    const begin = table.columns.begins[this.#entry];
    const end = table.columns.ends[this.#entry];
    const { buffer, start } = this.#storage.windowFor(begin, end);
    return new Uint8Array(buffer, dataStart + begin - start, end - begin);
  }

  #view(): TensorData {
    const { table, dataStart } = this.#storage;
    const begin = table.columns.begins[this.#entry];
    const end = table.columns.ends[this.#entry];
    const { array: TypedArray, elementBytes } = table.dtype(this.#entry);
    const length = (end - begin) / elementBytes;
    const { buffer, start } = this.#storage.windowFor(begin, end);
    const offset = dataStart + begin - start;
    if (isAligned(offset, elementBytes)) return new TypedArray(buffer, offset, length);
    const copy = new Uint8Array(new ArrayBuffer(end - begin));
    copy.set(new Uint8Array(buffer, offset, end - begin));
    this.#storage.noteCopy(copy.buffer);
    return new TypedArray(copy.buffer, 0, length);
  }

  /** What `console.log` shows. */
  [Symbol.for('nodejs.util.inspect.custom')](
    _depth: number,
    options: object,
    inspect: (value: object, options: object) => string,
  ): string {
    const { name, dtype, shape, byteLength, zeroCopy } = this;
    return `Tensor ${inspect({ name, dtype, shape, byteLength, zeroCopy }, options)}`;
  }
}

/** Whether `offset` is a multiple of `elementBytes`, a power of two. */
function isAligned(offset: number, elementBytes: number): boolean {
  // `&` looks at the low 32 bits, which is all that it takes, and is faster than `%` beyond them.
  return (offset & (elementBytes - 1)) === 0;
}

/** A tensor of some dtype: asking for its `dtype` tells TypeScript what its `data` is. */
export type AnyTensor = { [D in Dtype]: Tensor<D> }[Dtype];
