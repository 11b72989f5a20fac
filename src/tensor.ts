import { checkArray, checkObject, checkSignal } from './arguments.ts';
import type { DecodeOptions } from './decode/lanes.ts';
import { type Encoded, toFloat32, toFloat32Async } from './decode/to-float32.ts';
import { DTYPES, type Dtype, type DtypeInfo, type TensorData } from './dtypes.ts';
import { elementsIn } from './layout.ts';
import { planSlice, type SlicePlan, type SliceRange } from './slice.ts';
import { Storage } from './storage/storage.ts';
import { TensorSource } from './write/source.ts';

/** Where the bytes of a tensor are. */
export interface TensorPlace {
  readonly storage: Storage;
  /** In bytes from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

/** What a slice is of its tensor's data, or of a copy of that. */
interface TensorPart {
  /** In bytes from the start of the data. */
  readonly begin: number;
  readonly end: number;
  readonly shape: readonly number[];
}

export interface SliceOptions {
  /** Ends it: the promise is rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
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
      return { storage: value.#storage, begin: value.#begin, end: value.#end };
    };
  }

  readonly #storage: Storage;
  readonly #entry: number;
  /** Of a slice; that of a whole tensor is in the table. */
  readonly #part: TensorPart | undefined;
  #name: string | undefined;
  #shape: readonly number[] | undefined;
  #data: TensorData | undefined;

  /** @internal Tensors come from containers. */
  constructor(storage: Storage, entry: number, name?: string, part?: TensorPart) {
    if (!(storage instanceof Storage)) throw new TypeError('tensors come from containers');
    this.#storage = storage;
    this.#entry = entry;
    this.#part = part;
    this.#name = name;
    this.#shape = part?.shape;
  }

  /** In bytes from the start of the data. */
  get #begin(): number {
    return this.#part?.begin ?? this.#storage.table.columns.begins[this.#entry];
  }

  get #end(): number {
    return this.#part?.end ?? this.#storage.table.columns.ends[this.#entry];
  }

  get #dtype(): DtypeInfo {
    return this.#storage.table.dtype(this.#entry);
  }

  /** That of the tensor in its container, for a slice too. */
  get name(): string {
    this.#name ??= this.#storage.table.name(this.#entry);
    return this.#name;
  }

  get dtype(): D {
    return this.#dtype.name as D;
  }

  /** Dimensions in C order; `[]` for a scalar. */
  get shape(): readonly number[] {
    this.#shape ??= Object.freeze(this.#storage.table.shape(this.#entry));
    return this.#shape;
  }

  /** Number of elements: the product of the shape. */
  get size(): number {
    return elementsIn(this.byteLength, this.#dtype.bits);
  }

  get byteLength(): number {
    return this.#end - this.#begin;
  }

  /**
   * Whether {@link data} is a view of the mapped file, or of the bytes that a memory container has. False
   * for a tensor that the file does not align to its elements (its `data` is a copy, made when it is
   * first asked for), for a slice whose elements do not lie together, for all of the backend `'read'`,
   * and where the runtime lets JavaScript see no memory but its own, as Electron.
   */
  get zeroCopy(): boolean {
    const { dataStart, isCopy } = this.#storage;
    return !isCopy && isAligned(dataStart + this.#begin, this.#dtype.elementBytes);
  }

  /**
   * The elements, in the typed array of the dtype: F32 Float32Array, F64 Float64Array, C64
   * Float32Array (pairs), I8 Int8Array, I16 Int16Array, I32 Int32Array, I64 BigInt64Array, U16
   * Uint16Array, U32 Uint32Array, U64 BigUint64Array, F16 and BF16 Uint16Array (bits), all others
   * Uint8Array (packed, for those under 8 bits). The same array each time.
   *
   * Writing to it changes this process's view of the page, never the file. With the backend `'read'`, the
   * tensor is read here, on this thread, unless it is in memory; what is written lives as long as
   * anybody has a view of the tensor.
   *
   * @throws {SafetensorsError} CLOSED; FILE_CHANGED when what has to be read or copied is no longer there
   * @throws {RangeError} when the tensor is longer than a typed array can be (4 GiB on Node 20)
   */
  get data(): TensorData<D> {
    if (this.#data === undefined) this.#data = this.#view();
    else this.#storage.assertOpen();
    return this.#data as TensorData<D>;
  }

  /**
   * The bytes as they are in the file, without copying, aligned or not; those of a slice that is a copy.
   * With the backend `'read'`, read as for {@link data}.
   *
   * @throws {SafetensorsError} CLOSED, FILE_CHANGED
   * @throws {RangeError} as for {@link data}
   */
  get bytes(): Uint8Array {
    const begin = this.#begin;
    const end = this.#end;
    const { buffer, start } = this.#storage.windowFor(begin, end);
    return new Uint8Array(buffer, this.#storage.dataStart + begin - start, end - begin);
  }

  /**
   * Makes sure that the tensor's file has met no lost page so far: that what was read from {@link data} or
   * {@link bytes} was what the file has, not zeros. For after a copy or a computation; costs no access to
   * a disk. A slice that is a copy was whole when it was made.
   * @throws {SafetensorsError} FILE_CHANGED, with the file and the place; CLOSED
   */
  assertIntact(): void {
    this.#storage.assertIntact(this.#begin, this.#end);
  }

  /**
   * A part of the tensor, as a tensor of the same name and dtype: see {@link SliceRange}, a range for
   * each axis; none takes all.
   *
   * Where its elements lie together, as all do that are ranges of the first axis alone, it is a view of
   * the same memory, and nothing is read. Otherwise they are copied to memory of its own, which
   * goes with it and which closing the container empties: of a mapped file, the pages are read that
   * they lie in, and no others. That is done when this returns; {@link sliceAsync} leaves the event
   * loop free meanwhile.
   *
   * @throws {SafetensorsError} SLICE_RANGE for an index or an axis that the tensor does not have, and
   *   for a slice of a dtype under 8 bits that is not made of whole bytes; FILE_CHANGED when the file
   *   was cut short; CLOSED
   * @throws {TypeError}, {RangeError} for what is no range, and when there is no memory for the copy
   */
  slice(...ranges: SliceRange[]): Tensor<D> {
    const plan = this.#plan(ranges);
    const { runs } = plan;
    return runs.axes.length === 0
      ? this.#within(plan)
      : this.#copied(plan, this.#storage.gather({ ...runs, begin: this.#begin + runs.begin }));
  }

  /**
   * {@link slice} for large copies: made on other threads, piece by piece; for bytes in memory, on this
   * one with turns of the event loop between the pieces. A slice that is a view is there at once, and
   * nothing of it is read; but with the backend `'read'` it is read, into memory of its own.
   *
   * Closing the container meanwhile ends it with CLOSED.
   *
   * @throws as {@link slice} does, and the reason of `signal`; always as a rejection
   */
  async sliceAsync(ranges: readonly SliceRange[], options: SliceOptions = {}): Promise<Tensor<D>> {
    checkArray(ranges, 'ranges');
    checkObject(options, 'options');
    const { signal } = options;
    checkSignal(signal);
    const plan = this.#plan([...ranges]);
    signal?.throwIfAborted();
    const { runs } = plan;
    const begin = this.#begin + runs.begin;
    const isView = runs.axes.length === 0;
    if (isView && this.#storage.isThere(begin, begin + runs.byteLength)) return this.#within(plan);
    const placed = { ...runs, begin };
    return this.#copied(plan, await this.#storage.gatherAsync(placed, signal));
  }

  #plan(ranges: readonly SliceRange[]): SlicePlan {
    this.#storage.assertOpen();
    const { name, shape } = this;
    return planSlice({ name, dtype: this.#dtype, shape, path: this.#storage.path }, ranges);
  }

  #within({ shape, runs }: SlicePlan): Tensor<D> {
    const begin = this.#begin + runs.begin;
    const part = { begin, end: begin + runs.byteLength, shape };
    return new Tensor(this.#storage, this.#entry, this.#name, part);
  }

  #copied({ shape, runs }: SlicePlan, storage: Storage): Tensor<D> {
    const part = { begin: 0, end: runs.byteLength, shape };
    return new Tensor(storage, this.#entry, this.#name, part);
  }

  /**
   * The elements as F32, in `out` or in memory of their own: exactly, or rounded to the nearest, ties
   * to even (I32, U32, I64, U64, F64). BOOL becomes 0 and 1, F8_E8M0 powers of two. A NaN keeps its
   * sign and the upper bits of its mantissa, and is quiet, but for BF16 and F32, which keep all bits.
   *
   * Done on this thread: {@link toFloat32Async} leaves it to others.
   *
   * @param out as many elements as the tensor has, apart from its own memory
   * @returns `out`, or a new array
   * @throws {SafetensorsError} CLOSED; UNSUPPORTED_DTYPE for C64; FILE_CHANGED when pages are lost
   * @throws {TypeError}, {RangeError} for another `out`, or when no array can be so long
   */
  toFloat32(out?: Float32Array): Float32Array {
    return toFloat32(this.#encoded(), out);
  }

  /**
   * As {@link toFloat32}, on other threads. Neither `out` nor the memory of a tensor that is no view of a
   * mapped file ({@link bytes}) may be moved or resized before the promise is settled; what `out` has in
   * it after a failure is not defined. Closing the container is safe: the promise is then rejected with
   * CLOSED, unless all was read already.
   *
   * @param options `signal` ends the work: the promise is rejected with its reason
   * @throws {SafetensorsError} CLOSED; UNSUPPORTED_DTYPE for C64; FILE_CHANGED when pages are lost
   */
  async toFloat32Async(out?: Float32Array, options?: DecodeOptions): Promise<Float32Array> {
    return toFloat32Async(this.#encoded(), out, options);
  }

  #encoded(): Encoded {
    const { storage, begin, end } = placeOf(this) as TensorPlace;
    return { source: new TensorSource(storage, begin, end), dtype: this.dtype, name: this.name };
  }

  #view(): TensorData {
    // What the getters would look up each for itself: a view costs a third less without.
    const storage = this.#storage;
    const { columns } = storage.table;
    const entry = this.#entry;
    const part = this.#part;
    const begin = part === undefined ? columns.begins[entry] : part.begin;
    const end = part === undefined ? columns.ends[entry] : part.end;
    const { array: TypedArray, elementBytes } = DTYPES[columns.dtypes[entry]];
    const length = (end - begin) / elementBytes;
    const { buffer, start } = storage.windowFor(begin, end);
    const offset = storage.dataStart + begin - start;
    if (isAligned(offset, elementBytes)) return new TypedArray(buffer, offset, length);
    const copy = new Uint8Array(new ArrayBuffer(end - begin));
    copy.set(new Uint8Array(buffer, offset, end - begin));
    storage.assertIntact(begin, end);
    storage.noteCopy(copy.buffer);
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
