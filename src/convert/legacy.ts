import type { Contents, StoragePlace } from './checkpoint.ts';
import { malformed } from './fault.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import type { PickleStream } from './pickle/stream.ts';
import type { Trace } from './pickle/trace.ts';
import { PyDict, PyList, type Value } from './pickle/values.ts';

/** `MAGIC_NUMBER` and `PROTOCOL_VERSION` of torch/serialization.py. */
const MAGIC = 0x1950a86a20f9469cfc6cn;
const VERSION = 1001;

/** The number of elements before the bytes of each storage. */
const COUNT_BYTES = 8;

export function isLegacy(first: Value): boolean {
  return first === MAGIC;
}

/**
 * What `torch.save` wrote before version 1.6, and writes when it is told to: pickles of a magic number,
 * a version, the machine, the object and the keys of its storages; then the storages in that order.
 * These are little-endian on every machine.
 *
 * @param stream Behind the magic number.
 */
export async function readLegacy(
  file: ByteReader,
  stream: PickleStream,
  trace: Trace,
): Promise<Contents> {
  const { path } = file;
  if ((await stream.next(trace)) !== VERSION)
    throw malformed(path, 'another version of the format');
  if (!((await stream.next(trace)) instanceof PyDict)) {
    throw malformed(path, 'no description of the machine that wrote it');
  }
  const root = await stream.next(trace);
  // Those of tensors that are refused by name, and of what is left out, are in the file too.
  const expected = stream.storages;
  const keys = await stream.next(trace);
  if (!(keys instanceof PyList)) throw malformed(path, 'no list of its storages');
  const storages = new Map<string, StoragePlace>();
  for (const key of keys.items) {
    const storage = typeof key === 'string' ? expected.get(key) : undefined;
    if (storage === undefined || typeof key !== 'string' || storages.has(key)) {
      throw malformed(path, 'a key of a storage that its pickle does not name, or twice');
    }
    if (stream.at + COUNT_BYTES > file.size) throw malformed(path, `storage "${key}" is not there`);
    const count = (await file.read(stream.at, stream.at + COUNT_BYTES)).readBigUInt64LE();
    if (count !== BigInt(storage.elements)) {
      const message = `storage "${key}": expected ${storage.elements} elements, found ${count}`;
      throw malformed(path, message);
    }
    const begin = stream.at + COUNT_BYTES;
    const end = begin + storage.byteLength;
    if (end > file.size) throw malformed(path, `storage "${key}" ends behind the end of the file`);
    storages.set(key, { begin, end });
    stream.at = end;
  }
  if (stream.at !== file.size) throw malformed(path, `bytes of no storage, from byte ${stream.at}`);
  return { format: 'PyTorch, before 1.6', root, storages, bigEndian: false };
}
