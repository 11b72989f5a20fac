import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';
import { SafetensorsError } from '../index.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import { MOST_PICKLE_BYTES } from './pickle/limits.ts';
import { PickleStream } from './pickle/stream.ts';
import type { Trace } from './pickle/trace.ts';
import {
  LIMIT,
  limitOf,
  MOST_BYTES_OF_RECORDS,
  MOST_SEARCHED_BYTES,
  SEARCHED_IN_PART,
} from './scan-limits.ts';
import { beginsLikePickle } from './signatures.ts';
import { LOCAL } from './zip-fields.ts';

const CHUNK_BYTES = 2 ** 20;
const MOST_RECORDS = 256;

const STORED = 0;
const DEFLATED = 8;

interface Budget {
  /** Where records begin that have been looked at. */
  readonly seen: Set<number>;
  /** Bytes. */
  read: number;
  inflated: number;
  /** Of one of them; the others are looked at nevertheless. */
  limit: unknown;
}

const signature = Buffer.alloc(4);
signature.writeUInt32LE(LOCAL.signature);

/**
 * What pickles of a zip file name that is not right, or compressed: for whoever wants to know what is in
 * there, since other readers may make something of it. Headers are searched for, and taken at their word.
 *
 * @throws {SafetensorsError} CHECKPOINT_LIMIT where there is more than all of them together may have
 */
export async function salvagePickles(file: ByteReader, trace: Trace): Promise<void> {
  let found = 0;
  const budget: Budget = {
    seen: new Set(),
    read: MOST_BYTES_OF_RECORDS,
    inflated: MOST_BYTES_OF_RECORDS,
    limit: undefined,
  };
  const searched = Math.min(file.size, MOST_SEARCHED_BYTES);
  for (let at = 0; at < searched && found < MOST_RECORDS; at += CHUNK_BYTES) {
    trace.signal?.throwIfAborted();
    // So that no header is in two chunks.
    const chunk = await file.read(at, Math.min(at + CHUNK_BYTES + LOCAL.bytes, file.size));
    let place = chunk.indexOf(signature);
    for (; place >= 0 && place < CHUNK_BYTES && found < MOST_RECORDS; found++) {
      if (place + LOCAL.bytes <= chunk.length) {
        await salvage(file, at + place, chunk.subarray(place, place + LOCAL.bytes), budget, trace);
      }
      place = chunk.indexOf(signature, place + 1);
    }
  }
  if (found >= MOST_RECORDS) budget.limit ??= limitOf(file);
  if (searched < file.size) budget.limit ??= limitOf(file, SEARCHED_IN_PART);
  if (budget.limit !== undefined) throw budget.limit;
}

async function salvage(
  file: ByteReader,
  offset: number,
  header: Buffer,
  budget: Budget,
  trace: Trace,
): Promise<void> {
  const begin = offset + LOCAL.bytes + header.readUInt16LE(26) + header.readUInt16LE(28);
  const method = header.readUInt16LE(8);
  if (begin >= file.size || budget.seen.has(begin)) return;
  budget.seen.add(begin);
  try {
    if (method === STORED) {
      const start = await file.read(begin, Math.min(begin + 4, file.size));
      if (beginsLikePickle(start)) await traced(file, begin, trace);
    } else if (method === DEFLATED) {
      // The stream says for itself where it ends.
      const packed = await file.read(begin, Math.min(begin + MOST_PICKLE_BYTES, file.size));
      budget.read -= packed.length;
      budget.inflated -= MOST_PICKLE_BYTES;
      if (budget.read < 0 || budget.inflated < 0) throw limitOf(file);
      const inflated = await promisify(inflateRaw)(packed, { maxOutputLength: MOST_PICKLE_BYTES });
      budget.inflated += MOST_PICKLE_BYTES - inflated.length;
      if (!beginsLikePickle(inflated)) return;
      const { path } = file;
      const read = async (from: number, to: number) => inflated.subarray(from, to);
      await traced({ path, size: inflated.length, read }, 0, trace);
    }
  } catch (error) {
    trace.signal?.throwIfAborted();
    if (error instanceof SafetensorsError) {
      if (error.code === LIMIT) budget.limit ??= error;
      return;
    }
    // What zlib says of what is no stream of its, or of too large a one.
    if (error instanceof Error && 'code' in error) {
      if (error.code === 'ERR_BUFFER_TOO_LARGE') budget.limit ??= limitOf(file);
      return;
    }
    throw error;
  }
}

async function traced(file: ByteReader, begin: number, trace: Trace): Promise<void> {
  const end = Math.min(file.size, begin + MOST_PICKLE_BYTES);
  await new PickleStream(file, begin, end).next(trace);
}
