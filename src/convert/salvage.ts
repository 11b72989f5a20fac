import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';
import { SafetensorsError } from '../index.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import { MOST_PICKLE_BYTES } from './pickle/limits.ts';
import { PickleFault, PickleReader } from './pickle/reader.ts';
import { runPickle } from './pickle/run.ts';
import { PickleStream } from './pickle/stream.ts';
import type { Trace } from './pickle/trace.ts';
import { beginsLikePickle } from './signatures.ts';
import { LOCAL } from './zip-fields.ts';

/** Looked through for headers of records; pickles come first in what PyTorch writes. */
const MOST_BYTES = 64 * 2 ** 20;
const CHUNK_BYTES = 2 ** 20;
const MOST_RECORDS = 256;

const STORED = 0;
const DEFLATED = 8;

const signature = Buffer.alloc(4);
signature.writeUInt32LE(LOCAL.signature);

/**
 * What pickles of a zip file name that is not right, or compressed: for whoever wants to know what is in
 * there, since other readers may make something of it. Headers are searched for, and taken at their word.
 */
export async function salvagePickles(file: ByteReader, trace: Trace): Promise<void> {
  let found = 0;
  const searched = Math.min(file.size, MOST_BYTES);
  for (let at = 0; at < searched && found < MOST_RECORDS; at += CHUNK_BYTES) {
    // So that no header is in two chunks.
    const chunk = await file.read(at, Math.min(at + CHUNK_BYTES + LOCAL.bytes, file.size));
    let place = chunk.indexOf(signature);
    for (; place >= 0 && place < CHUNK_BYTES && found < MOST_RECORDS; found++) {
      if (place + LOCAL.bytes <= chunk.length) {
        await salvage(file, at + place, chunk.subarray(place, place + LOCAL.bytes), trace);
      }
      place = chunk.indexOf(signature, place + 1);
    }
  }
}

async function salvage(
  file: ByteReader,
  offset: number,
  header: Buffer,
  trace: Trace,
): Promise<void> {
  const begin = offset + LOCAL.bytes + header.readUInt16LE(26) + header.readUInt16LE(28);
  const method = header.readUInt16LE(8);
  if (begin >= file.size) return;
  try {
    if (method === STORED) {
      const start = await file.read(begin, Math.min(begin + 4, file.size));
      if (beginsLikePickle(start)) await new PickleStream(file, begin).next(trace);
    } else if (method === DEFLATED) {
      // The stream says for itself where it ends.
      const packed = await file.read(begin, Math.min(begin + MOST_PICKLE_BYTES, file.size));
      const inflated = await promisify(inflateRaw)(packed, { maxOutputLength: MOST_PICKLE_BYTES });
      if (beginsLikePickle(inflated)) await runPickle(new PickleReader(inflated), trace);
    }
  } catch (error) {
    if (error instanceof SafetensorsError || error instanceof PickleFault) return;
    // What zlib says of what is no stream of its.
    if (error instanceof Error && 'code' in error) return;
    throw error;
  }
}
