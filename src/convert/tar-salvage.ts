import { SafetensorsError } from '../index.ts';
import type { ByteReader } from './mapped-checkpoint.ts';

import { PickleStream } from './pickle/stream.ts';
import type { Trace } from './pickle/trace.ts';
import { LIMIT, limitOf, MOST_SEARCHED_BYTES, SEARCHED_IN_PART } from './scan-limits.ts';
import { TarReader } from './tar.ts';
import { BLOCK_BYTES, beginsLikeTar, nameOfBlock, typeOfBlock } from './tar-records.ts';

const CHUNK_BYTES = 2 ** 20;
/** PyTorch wrote one of each. */
const MOST_RECORDS = 16;

/** Records that PyTorch unpickles, in its order. */
const PICKLED = ['storages', 'tensors', 'pickle'] as const;

/** Headers that say what the next record is called, of POSIX and of GNU. */
const RENAMING = /^[xgL]$/;
const NEW_NAME = new RegExp(`(?:^|path=)(${PICKLED.join('|')})/*[\\0\\n]`);
const MOST_RENAMING_BYTES = 4096;

/** Where the data of a record begins. */
interface Found {
  readonly name: string;
  readonly begin: number;
}

/**
 * What pickles of a tar file name that is not right: PyTorch takes what it wants out of one by name, whatever else
 * is in it. Headers are searched for, and neither sizes nor checksums are asked for.
 *
 * @returns Whether there is any record that PyTorch would take.
 * @throws {SafetensorsError} CHECKPOINT_LIMIT where it is not known what else there is
 */
export async function salvageTar(file: ByteReader, trace: Trace): Promise<boolean> {
  const records = await findRecords(file, trace);
  let limit: unknown;
  let reader = new TarReader(file, trace);
  for (const name of PICKLED) {
    for (const record of records.filter((found) => found.name === name).slice(0, MOST_RECORDS)) {
      const stream = new PickleStream(file, record.begin);
      try {
        if (name === 'storages') {
          reader = new TarReader(file, trace);
          await reader.readStorages(stream);
        } else if (name === 'tensors') await reader.readTensors(stream);
        else await reader.readPickle(stream);
      } catch (error) {
        trace.signal?.throwIfAborted();
        if (!(error instanceof SafetensorsError)) throw error;
        if (error.code === LIMIT) limit ??= error;
      }
    }
  }
  if (records.length > MOST_RECORDS) limit ??= limitOf(file);
  if (file.size > MOST_SEARCHED_BYTES) limit ??= limitOf(file, SEARCHED_IN_PART);
  if (limit !== undefined) throw limit;
  return records.length > 0;
}

async function findRecords(file: ByteReader, { signal }: Trace): Promise<Found[]> {
  const found: Found[] = [];
  /** What the next record is called, whatever its header has. */
  let renamed: string | undefined;
  const searched = Math.min(file.size, MOST_SEARCHED_BYTES);
  for (let at = 0; at < searched && found.length <= MOST_RECORDS; at += CHUNK_BYTES) {
    signal?.throwIfAborted();
    const chunk = await file.read(at, Math.min(at + CHUNK_BYTES, file.size));
    for (let place = 0; place + BLOCK_BYTES <= chunk.length; place += BLOCK_BYTES) {
      const block = chunk.subarray(place, place + BLOCK_BYTES);
      const begin = at + place + BLOCK_BYTES;
      const name = nameOfBlock(block).replace(/\/+$/, '');
      if (PICKLED.some((one) => one === name)) found.push({ name, begin });
      else if (RENAMING.test(typeOfBlock(block)) && beginsLikeTar(block)) {
        const text = await file.read(begin, Math.min(begin + MOST_RENAMING_BYTES, file.size));
        renamed = NEW_NAME.exec(text.toString('latin1'))?.[1] ?? renamed;
      } else if (renamed !== undefined && beginsLikeTar(block)) {
        found.push({ name: renamed, begin });
        renamed = undefined;
      }
    }
  }
  return found;
}
