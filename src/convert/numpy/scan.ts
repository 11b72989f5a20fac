import { quoteName } from '../../escape.ts';
import { SafetensorsError } from '../../index.ts';
import { malformed } from '../fault.ts';
import { InflatedRecord } from '../inflated.ts';
import type { ByteReader } from '../mapped-checkpoint.ts';
import { PickleStream } from '../pickle/stream.ts';
import type { Trace } from '../pickle/trace.ts';
import { limitOf, MOST_BYTES_OF_RECORDS } from '../scan-limits.ts';
import { readZip, type ZipRecord } from '../zip.ts';
import { isHarmless, isObjects, itemBytes } from './item-bytes.ts';
import { beginsLikeNpy, MAGIC_BYTES, readNpyHeader } from './npy.ts';

/** Arrays that are looked at in a file that should have one. */
const MOST_ARRAYS = 1000;

/**
 * What `numpy.load` would run of a file of one array, if it were allowed to: arrays of objects are pickles. It may be
 * called again for what is behind the array.
 *
 * @param file Of that array; `name` is for messages.
 * @throws {SafetensorsError} also where there is more in the file
 */
export async function scanNpy(file: ByteReader, name: string, trace: Trace): Promise<void> {
  const end = await scanArray(file, 0, name, trace);
  if (end === file.size) return;
  let at = end;
  for (let count = 1; at < file.size; count++) {
    trace.signal?.throwIfAborted();
    if (count === MOST_ARRAYS) throw limitOf(file, `more than ${MOST_ARRAYS} arrays`);
    at = await scanArray(file, at, name, trace);
  }
  throw malformed(file.path, `array ${quoteName(name)}: bytes behind it, from byte ${end}`);
}

/** @returns Where the array ends that begins at `begin`. */
async function scanArray(
  file: ByteReader,
  begin: number,
  name: string,
  trace: Trace,
): Promise<number> {
  let at = begin;
  const { descr, shape, headerBytes } = await readNpyHeader({
    name,
    path: file.path,
    byteLength: file.size - begin,
    readInto: async (target) => {
      (await file.read(at, at + target.length)).copy(target);
      at += target.length;
    },
  });
  if (isHarmless(descr)) {
    const item = itemBytes(descr);
    if (item === undefined) throw malformed(file.path, 'an array of a dtype of no known size');
    const bytes = shape.reduce((product, size) => product * size, item);
    const end = begin + headerBytes + bytes;
    if (end <= file.size) return end;
    const message = `expected ${bytes} bytes behind its header, found ${file.size - begin - headerBytes}`;
    throw malformed(file.path, `array ${quoteName(name)}: ${message}`);
  }
  const stream = new PickleStream(file, begin + headerBytes);
  await stream.next(trace);
  if (!isObjects(descr)) throw malformed(file.path, 'an array of a dtype that may be of objects');
  return stream.at;
}

/**
 * {@link scanNpy} of every array of a zip file. As numpy does, it knows them by how they begin, not by their names.
 *
 * @returns Whether there is nothing else in the file, which other programs may take for something else; and why
 *   an array cannot be read.
 */
export async function scanNpz(
  file: ByteReader,
  trace: Trace,
): Promise<{ onlyArrays: boolean; problem: SafetensorsError | undefined }> {
  let problem: SafetensorsError | undefined;
  let onlyArrays = true;
  const { signal } = trace;
  const budget = { inflated: MOST_BYTES_OF_RECORDS };
  for (const record of (await readZip(file, { deflated: true, signal })).values()) {
    signal?.throwIfAborted();
    try {
      using array = await unpacked(file, record, budget);
      if (array === undefined) onlyArrays = false;
      else await scanNpy(array, record.name, trace);
    } catch (error) {
      if (!(error instanceof SafetensorsError)) throw error;
      // What the others have counts all the same.
      problem ??= error;
    }
  }
  return { onlyArrays, problem };
}

/**
 * A record as a file of its own, unless it is no array; to be disposed of. What is compressed goes into memory, front to
 * back, as far as it is read: of arrays of numbers, their headers alone.
 */
async function unpacked(
  file: ByteReader,
  record: ZipRecord,
  budget: { inflated: number },
): Promise<(ByteReader & Disposable) | undefined> {
  const { begin, end, byteLength, deflated } = record;
  const { path } = file;
  if (!deflated) {
    const start = await file.read(begin, Math.min(begin + MAGIC_BYTES, end));
    if (!beginsLikeNpy(start)) return undefined;
    const read = (from: number, to: number) => file.read(begin + from, begin + to);
    return { path, size: end - begin, read, [Symbol.dispose]() {} };
  }
  const stream = new InflatedRecord(file, record);
  let known = Buffer.alloc(0);
  const read = async (from: number, to: number) => {
    const length = Math.max(0, to - known.length);
    budget.inflated -= length;
    if (budget.inflated < 0) throw limitOf(file, 'its arrays have more than may be looked at');
    const more = Buffer.allocUnsafeSlow(length);
    await stream.readInto(more);
    known = Buffer.concat([known, more]);
    return known.subarray(from, to);
  };
  try {
    const start = await read(0, Math.min(MAGIC_BYTES, byteLength));
    if (beginsLikeNpy(start)) {
      return { path, size: byteLength, read, [Symbol.dispose]: () => stream.close() };
    }
  } catch (error) {
    stream.close();
    throw error;
  }
  stream.close();
  return undefined;
}
