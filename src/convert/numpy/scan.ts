import { SafetensorsError } from '../../index.ts';
import { malformed } from '../fault.ts';
import { InflatedRecord } from '../inflated.ts';
import type { ByteReader } from '../mapped-checkpoint.ts';
import { PickleStream } from '../pickle/stream.ts';
import type { Trace } from '../pickle/trace.ts';
import { limitOf, MOST_BYTES_OF_RECORDS } from '../scan-limits.ts';
import { readZip, type ZipRecord } from '../zip.ts';
import { type Literal, LiteralTuple } from './literal.ts';
import { beginsLikeNpy, MAGIC_BYTES, readNpyHeader } from './npy.ts';

/**
 * What `numpy.load` would run of a file of one array, if it were allowed to: arrays of objects are pickles.
 *
 * @param file Of that array; `name` is for messages.
 */
export async function scanNpy(file: ByteReader, name: string, trace: Trace): Promise<void> {
  let at = 0;
  const { descr, headerBytes } = await readNpyHeader({
    name,
    path: file.path,
    byteLength: file.size,
    readInto: async (target) => {
      (await file.read(at, at + target.length)).copy(target);
      at += target.length;
    },
  });
  if (isHarmless(descr)) return;
  await new PickleStream(file, headerBytes).next(trace);
  if (!isObjects(descr)) throw malformed(file.path, 'an array of a dtype that may be of objects');
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

/**
 * Types of numpy that are never objects. It takes many spellings of those that are: `object`, `i4,O`, dicts and more;
 * whatever is not known to be harmless is taken for one.
 */
const HARMLESS = /^[<>|=]?[?bBhHiIlLqQefdgFDGSUVmMcu]\d*(\[[^\]]*\])?$/;

function isHarmless(descr: Literal | undefined): boolean {
  if (typeof descr === 'string') return HARMLESS.test(descr);
  return Array.isArray(descr) && descr.every((field) => fieldIs(field, isHarmless));
}

/** Whether it is what numpy writes where there are objects: then their pickle says all that there is to say. */
function isObjects(descr: Literal | undefined): boolean {
  if (typeof descr === 'string') return /^[<>|=]?O8?$/.test(descr) || HARMLESS.test(descr);
  return Array.isArray(descr) && descr.every((field) => fieldIs(field, isObjects));
}

function fieldIs(field: Literal, passes: (descr: Literal | undefined) => boolean): boolean {
  return field instanceof LiteralTuple && passes(field.items[1]);
}
