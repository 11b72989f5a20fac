import { crc32 } from 'node:zlib';
import { quoteName } from '../../escape.ts';
import { SafetensorsError } from '../../index.ts';
import { malformed } from '../fault.ts';
import { InflatedRecord } from '../inflated.ts';
import type { ByteReader } from '../mapped-checkpoint.ts';
import { PackedBytes, Turns } from '../packed.ts';
import type { TensorPlace } from '../plan.ts';
import { beginsLikeZip } from '../signatures.ts';
import type { TensorList } from '../tensor-list.ts';
import { readZip, type ZipRecord } from '../zip.ts';
import { LOCAL } from '../zip-fields.ts';
import { planNpy } from './npy.ts';

/** What an array is called that has no name. */
export const NAMELESS = 'tensor';

const NPY = /\.npy$/;

/**
 * What compressed arrays may come to: a file of a few kilobytes can be one of many gigabytes. Weights
 * hardly shrink; what was made to be zeros does, by a factor of a thousand.
 */
const MOST_INFLATED_BYTES = 2 ** 30;
const MOST_GROWTH = 32;

/** Read at once of what is only looked at. */
const READ_BYTES = 2 ** 20;

/** Whether a zip file begins as those of `numpy.savez` do: with an array. */
export async function isNpz(file: ByteReader, start: Buffer): Promise<boolean> {
  if (!beginsLikeZip(start)) return false;
  const head = await file.read(0, Math.min(file.size, LOCAL.bytes));
  if (head.length < LOCAL.bytes) return false;
  const nameEnd = LOCAL.bytes + head.readUInt16LE(26);
  const name = await file.read(LOCAL.bytes, Math.min(file.size, nameEnd));
  return NPY.test(name.toString());
}

/** The array of a file that `numpy.save` has written. */
export async function readNpy(file: ByteReader): Promise<TensorList> {
  const whole = { begin: 0, end: file.size };
  return listOf([await planNpy({ name: NAMELESS, ...storedArray(file, whole, NAMELESS) })]);
}

/** The arrays of a file that `numpy.savez` or `numpy.savez_compressed` has written. */
export async function readNpz(
  file: ByteReader,
  signal: AbortSignal | undefined,
): Promise<TensorList> {
  const { path } = file;
  const records = [...(await readZip(file, { deflated: true, signal })).values()];
  checkGrowth(records, path);
  const turns = new Turns();
  const found: Parameters<typeof listOf>[0] = [];
  for (const record of records) {
    signal?.throwIfAborted();
    const name = record.name.replace(NPY, '');
    if (!NPY.test(record.name)) found.push({ name: record.name, what: 'no array of numpy' });
    else if (record.deflated) found.push(await planDeflated(file, record, name, turns));
    else {
      await checkSum(file, record, signal);
      found.push(await planNpy({ name, ...storedArray(file, record, name) }));
    }
  }
  return listOf(found);
}

function listOf(found: Awaited<ReturnType<typeof planNpy>>[]): TensorList {
  return {
    format: 'np',
    tensors: found.filter((one) => 'dtype' in one),
    unsupported: found.filter((one) => 'what' in one),
    metadata: new Map(),
    others: [],
  };
}

function storedArray(
  file: ByteReader,
  { begin, end }: { begin: number; end: number },
  key: string,
) {
  let at = begin;
  return {
    path: file.path,
    byteLength: end - begin,
    readInto: async (target: Buffer) => {
      (await file.read(at, at + target.length)).copy(target);
      at += target.length;
    },
    place: (headerBytes: number): TensorPlace => ({
      key,
      begin: begin + headerBytes,
      byteLength: end - begin - headerBytes,
    }),
  };
}

async function planDeflated(file: ByteReader, record: ZipRecord, name: string, turns: Turns) {
  const { begin, byteLength } = record;
  const stream = new InflatedRecord(file, record);
  try {
    const planned = await planNpy({
      name,
      path: file.path,
      byteLength,
      readInto: (target) => stream.readInto(target),
      place: (headerBytes) => ({
        key: name,
        begin,
        byteLength: byteLength - headerBytes,
        packed: new PackedBytes(file, record, headerBytes, turns),
      }),
    });
    const apart = 'dtype' in planned && !planned.geometry.contiguous;
    if (!apart || byteLength <= MOST_INFLATED_BYTES) return planned;
    const message =
      `array ${quoteName(name)}: ${byteLength} bytes that are both compressed and in Fortran order ` +
      'would have to be in memory as a whole; save it by numpy.savez, or in C order';
    throw new SafetensorsError('CHECKPOINT_LIMIT', message, { path: file.path, tensor: name });
  } finally {
    stream.close();
  }
}

function checkGrowth(records: readonly ZipRecord[], path: string): void {
  const inflated = records.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const stored = records.reduce((sum, { begin, end }) => sum + end - begin, 0);
  if (inflated <= MOST_INFLATED_BYTES || inflated <= MOST_GROWTH * stored) return;
  const message = `${stored} compressed bytes that come to ${inflated}`;
  throw new SafetensorsError('CHECKPOINT_LIMIT', message, { path });
}

/** As Python's `zipfile` does when a record is read; of compressed ones it is checked as they are inflated. */
async function checkSum(
  file: ByteReader,
  { name, begin, end, crc32: expected }: ZipRecord,
  signal: AbortSignal | undefined,
): Promise<void> {
  let found = 0;
  for (let at = begin; at < end; at += READ_BYTES) {
    signal?.throwIfAborted();
    found = crc32(await file.read(at, Math.min(at + READ_BYTES, end)), found);
  }
  if (found !== expected) throw malformed(file.path, `record ${quoteName(name)}: another checksum`);
}
