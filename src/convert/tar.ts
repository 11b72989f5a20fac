import type { Contents, StoragePlace } from './checkpoint.ts';
import { malformed } from './fault.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import { describeKey, isListed, storageOf } from './pickle/globals.ts';
import { MOST_DIMENSIONS } from './pickle/limits.ts';
import { PickleStream } from './pickle/stream.ts';
import type { Trace } from './pickle/trace.ts';
import {
  PyGlobal,
  PyList,
  type PyStorage,
  PyTensor,
  PyTuple,
  type Value,
} from './pickle/values.ts';
import { readTar } from './tar-records.ts';

const NUMBER_BYTES = 8;

/** A storage, or a part of one. */
interface Part {
  readonly storage: PyStorage;
  /** In elements. */
  readonly offset: number;
}

/**
 * What `torch.save` wrote before version 0.1.10: a tar file with storages, tensors of them, and a pickle
 * that has the tensors by their keys.
 */
export async function readTarCheckpoint(file: ByteReader, trace: Trace): Promise<Contents> {
  const records = await readTar(file);
  const stream = (name: string) => {
    const record = records.get(name);
    if (record === undefined) throw malformed(file.path, `no record "${name}" in the tar file`);
    return new PickleStream(file, record.begin, record.end);
  };
  const reader = new TarReader(file, trace);
  await reader.readStorages(stream('storages'));
  await reader.readTensors(stream('tensors'));
  const root = await reader.readPickle(stream('pickle'));
  const { storages } = reader;
  return { format: 'PyTorch, before 0.1.10', root, storages, bigEndian: false };
}

/** What is in the records, as far as it has been read. */
export class TarReader {
  readonly storages = new Map<string, StoragePlace>();
  readonly tensors = new Map<string, Value>();
  readonly #parts = new Map<string, Part>();
  readonly #file: ByteReader;
  readonly #trace: Trace;

  constructor(file: ByteReader, trace: Trace) {
    this.#file = file;
    this.#trace = trace;
  }

  async readStorages(stream: PickleStream): Promise<void> {
    const count = await this.#count(stream);
    for (let i = 0; i < count; i++) {
      const [key, location, type] = await this.#tuple(stream, 3);
      const isStorage = typeof location === 'string' && type instanceof PyGlobal && isListed(type);
      if (!isStorage) throw this.#wrong('a storage that is none');
      const [elements] = await this.#numbers(stream, 1);
      const name = describeKey(key);
      const fault = (message: string) => this.#wrong(message);
      const storage = storageOf(name, type, elements, { fault });
      if (name === '' || this.#parts.has(name)) throw this.#wrong('a key that is there twice');
      const begin = stream.at;
      const end = begin + storage.byteLength;
      if (!(end <= stream.end)) throw this.#wrong('a storage that is not all there');
      this.storages.set(name, { begin, end });
      this.#parts.set(name, { storage, offset: 0 });
      stream.at = end;
    }
    const views = await stream.next(this.#trace);
    if (!(views instanceof PyList)) throw this.#wrong('no list of views');
    for (const view of views.items) this.#addView(view);
    this.#checkEnd(stream);
  }

  #addView(view: Value): void {
    const [target, root, offset, count] = view instanceof PyTuple ? view.items : [];
    const part = this.#parts.get(describeKey(root ?? ''));
    const name = describeKey(target ?? '');
    const isView =
      part !== undefined && typeof offset === 'number' && typeof count === 'number' && offset >= 0;
    if (!isView || this.#parts.has(name)) throw this.#wrong('a view of no storage');
    this.#parts.set(name, { storage: part.storage, offset: part.offset + offset });
  }

  async readTensors(stream: PickleStream): Promise<void> {
    const count = await this.#count(stream);
    for (let i = 0; i < count; i++) {
      const [key, storageKey] = await this.#tuple(stream, 3);
      const part = this.#parts.get(describeKey(storageKey));
      const name = describeKey(key);
      if (part?.storage.type === undefined || name === '' || this.tensors.has(name)) {
        throw this.#wrong('a tensor of no storage, or twice');
      }
      const { storage } = part;
      // Four bytes of a count, and four that mean nothing.
      const dimensions = (await this.#read(stream, NUMBER_BYTES)).readInt32LE();
      if (dimensions < 0 || dimensions > MOST_DIMENSIONS) {
        throw this.#wrong(`a tensor of ${dimensions} dimensions`);
      }
      const shape = await this.#numbers(stream, dimensions);
      const strides = await this.#numbers(stream, dimensions);
      const [offset] = await this.#numbers(stream, 1);
      const fields = {
        storage,
        type: part.storage.type,
        offset: part.offset + offset,
        shape,
        strides,
        conjugate: false,
        negative: false,
      };
      this.tensors.set(name, new PyTensor(fields));
    }
    this.#checkEnd(stream);
  }

  async readPickle(stream: PickleStream): Promise<Value> {
    stream.persistents = this.tensors;
    const root = await stream.next(this.#trace);
    this.#checkEnd(stream);
    return root;
  }

  #checkEnd(stream: PickleStream): void {
    if (stream.at !== stream.end) throw this.#wrong('bytes behind what is read');
  }

  async #count(stream: PickleStream): Promise<number> {
    const count = await stream.next(this.#trace);
    if (typeof count !== 'number' || count < 0) throw this.#wrong('no count');
    return count;
  }

  async #tuple(stream: PickleStream, length: number): Promise<readonly Value[]> {
    const value = await stream.next(this.#trace);
    if (value instanceof PyTuple && value.items.length === length) return value.items;
    throw this.#wrong('a description that is none');
  }

  async #numbers(stream: PickleStream, count: number): Promise<number[]> {
    const bytes = await this.#read(stream, count * NUMBER_BYTES);
    return Array.from({ length: count }, (_, i) => {
      const number = Number(bytes.readBigInt64LE(i * NUMBER_BYTES));
      if (Number.isSafeInteger(number) && number >= 0) return number;
      throw this.#wrong('a number that is no index');
    });
  }

  async #read(stream: PickleStream, length: number): Promise<Buffer> {
    if (stream.at + length > stream.end) throw this.#wrong('it ends too early');
    return stream.take(length);
  }

  #wrong(what: string) {
    return malformed(this.#file.path, `tar file: ${what}`);
  }
}
