import { isUtf8 } from 'node:buffer';
import { quoteName } from '../escape.ts';
import { SafetensorsError } from '../index.ts';
import { malformed } from './fault.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import {
  CENTRAL,
  DEFLATE,
  DESCRIPTOR,
  END,
  END_64,
  FLAG_DESCRIPTOR,
  FLAG_UTF8,
  FLAGS_DEFLATE,
  IN_ZIP64,
  IN_ZIP64_SHORT,
  LOCAL,
  LOCATOR_64,
  STORE,
  safeUint64,
  zip64Numbers,
} from './zip-fields.ts';

/** Bounds of a directory: about a million records with the names that PyTorch gives them. */
const MOST_RECORDS = 1_000_000;
const MOST_DIRECTORY_BYTES = 128 * 2 ** 20;

/** Read at once from a local header: with the padding that puts PyTorch's data at a multiple of 64. */
const LOCAL_READ_BYTES = 512;

/** A file in a zip file. */
export interface ZipRecord {
  readonly name: string;
  /** Bytes `[begin, end)` of the zip file are its data, as it is or compressed. */
  readonly begin: number;
  readonly end: number;
  /** Of what it holds: `end − begin` unless it is compressed. */
  readonly byteLength: number;
  readonly deflated: boolean;
  readonly crc32: number;
}

export interface ZipOptions {
  /** Whether records may be compressed, by deflate. Default: false. */
  readonly deflated?: boolean;
  /** Ends the reading, with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A record as the directory has it. */
interface Listed {
  readonly name: string;
  readonly nameBytes: Buffer;
  readonly flags: number;
  readonly method: number;
  readonly crc32: number;
  readonly size: number;
  /** Of its data in the file. */
  readonly stored: number;
  /** Of the local header. */
  readonly offset: number;
}

/**
 * The records of a zip file, by name: those of PyTorch are stored, not compressed; those of numpy may be.
 *
 * A reader of this package's own, because those that are there do what zip allows, and read on where
 * two readers may differ; scanners have been fooled by that (CVE-2025-10156, CVE-2025-1944). Here the
 * file has one reading or none: local headers and data lie one behind the other from the first byte
 * up to the directory, the directory up to its end record, and that to the end of the file; the two
 * headers of a record agree; no name is there twice. What PyTorch's own writer and Python's `zipfile`
 * write is such a file.
 *
 * @throws {SafetensorsError} MALFORMED_CHECKPOINT, CHECKPOINT_LIMIT
 */
export async function readZip(
  file: ByteReader,
  { deflated = false, signal }: ZipOptions = {},
): Promise<Map<string, ZipRecord>> {
  const directory = await findDirectory(file);
  if (directory.end - directory.begin > MOST_DIRECTORY_BYTES || directory.count > MOST_RECORDS) {
    const message = `a zip directory of ${directory.count} records`;
    throw new SafetensorsError('CHECKPOINT_LIMIT', message, { path: file.path });
  }
  const bytes = await file.read(directory.begin, directory.end);
  const listed = readDirectory(bytes, directory.count, { path: file.path, deflated });
  listed.sort((a, b) => a.offset - b.offset);
  const records = new Map<string, ZipRecord>();
  let at = 0;
  for (const [i, record] of listed.entries()) {
    signal?.throwIfAborted();
    const next = listed[i + 1]?.offset ?? directory.begin;
    if (record.offset !== at) throw malformed(file.path, `bytes of no record, at byte ${at}`);
    if (records.has(record.name)) {
      throw malformed(file.path, `two records of the name ${quoteName(record.name)}`);
    }
    records.set(record.name, await readRecord(file, record, next));
    at = next;
  }
  if (at !== directory.begin) throw malformed(file.path, 'bytes of no record');
  return records;
}

async function findDirectory(
  file: ByteReader,
): Promise<{ begin: number; end: number; count: number }> {
  const { path, size } = file;
  const tailBytes = END.bytes + LOCATOR_64.bytes + END_64.bytes;
  const tail = await file.read(Math.max(0, size - tailBytes), size);
  const end = tail.subarray(Math.max(0, tail.length - END.bytes));
  if (end.length < END.bytes || end.readUInt32LE(0) !== END.signature || end.readUInt16LE(20) > 0) {
    const message = 'a zip file without its end record, or with bytes behind it';
    throw malformed(path, message);
  }
  if (end.readUInt16LE(4) !== 0 || end.readUInt16LE(6) !== 0) {
    throw malformed(path, 'a zip file of several disks');
  }
  const count = end.readUInt16LE(10);
  const length = end.readUInt32LE(12);
  const begin = end.readUInt32LE(16);
  if (end.readUInt16LE(8) !== count) throw malformed(path, 'a zip file of several disks');
  const place = { begin, end: begin + length, count };
  const zip64 = tail.length === tailBytes ? readEnd64(tail, size, path) : undefined;
  if (zip64 !== undefined) {
    const agree =
      (begin === IN_ZIP64 || begin === zip64.begin) &&
      (length === IN_ZIP64 || length === zip64.end - zip64.begin) &&
      (count === IN_ZIP64_SHORT || count === zip64.count);
    if (!agree) throw malformed(path, 'two end records that do not agree');
  }
  const found = zip64 ?? place;
  const expectedEnd = size - (zip64 === undefined ? END.bytes : tailBytes);
  if (found.begin > found.end || found.end !== expectedEnd) {
    throw malformed(path, `a zip directory that does not end at byte ${expectedEnd}`);
  }
  return found;
}

function readEnd64(
  tail: Buffer,
  size: number,
  path: string,
): { begin: number; end: number; count: number } | undefined {
  const locator = tail.subarray(END_64.bytes);
  if (locator.readUInt32LE(0) !== LOCATOR_64.signature) return undefined;
  const count = safeUint64(tail, 32);
  const length = safeUint64(tail, 40);
  const begin = safeUint64(tail, 48);
  const isPlain =
    tail.readUInt32LE(0) === END_64.signature &&
    safeUint64(tail, 4) === END_64.bytes - 12 &&
    tail.readUInt32LE(16) === 0 &&
    tail.readUInt32LE(20) === 0 &&
    safeUint64(tail, 24) === count &&
    locator.readUInt32LE(4) === 0 &&
    safeUint64(locator, 8) === size - tail.length &&
    locator.readUInt32LE(16) === 1;
  if (!isPlain || count === undefined || length === undefined || begin === undefined) {
    throw malformed(path, 'a zip64 end record that is not right');
  }
  return { begin, end: begin + length, count };
}

function readDirectory(
  bytes: Buffer,
  count: number,
  { path, deflated }: { path: string; deflated: boolean },
): Listed[] {
  const listed: Listed[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const wrong = (what: string) => malformed(path, `record ${i} of the zip directory: ${what}`);
    if (at + CENTRAL.bytes > bytes.length || bytes.readUInt32LE(at) !== CENTRAL.signature) {
      throw wrong('it is not there');
    }
    const field = (offset: number) => bytes.readUInt32LE(at + offset);
    const short = (offset: number) => bytes.readUInt16LE(at + offset);
    const nameEnd = at + CENTRAL.bytes + short(28);
    const end = nameEnd + short(30);
    if (end > bytes.length) throw wrong('it reaches past the end');
    const flags = short(8);
    const method = short(10);
    const known = FLAG_DESCRIPTOR | FLAG_UTF8 | (method === DEFLATE ? FLAGS_DEFLATE : 0);
    if ((flags & ~known) !== 0) {
      throw wrong(flags & 1 ? 'it is encrypted' : `flags 0x${flags.toString(16)}`);
    }
    if (method !== STORE && !deflated) {
      throw wrong('it is compressed, which PyTorch’s records are not');
    }
    if (method !== STORE && method !== DEFLATE) throw wrong(`it is compressed by method ${method}`);
    if (short(32) !== 0 || short(34) !== 0) throw wrong('a comment, or another disk');
    const numbers = zip64Numbers(bytes.subarray(nameEnd, end));
    if (numbers === undefined) throw wrong('extra fields that are not right');
    const take = (value: number) => (value === IN_ZIP64 ? numbers.shift() : value);
    // The order is that of the zip64 field.
    const size = take(field(24));
    const stored = take(field(20));
    const offset = take(field(42));
    const complete = size !== undefined && stored !== undefined && offset !== undefined;
    if (!complete || numbers.length > 0 || (method === STORE && size !== stored)) {
      throw wrong('sizes that do not agree');
    }
    const nameBytes = bytes.subarray(at + CENTRAL.bytes, nameEnd);
    const name = nameBytes.toString();
    if (!isUtf8(nameBytes) || name === '' || name.includes('\0') || name.includes('\\')) {
      throw wrong('a name that is not right');
    }
    listed.push({ name, nameBytes, flags, method, crc32: field(16), size, stored, offset });
    at = end;
  }
  if (at !== bytes.length) throw malformed(path, 'a zip directory of more than its records');
  return listed;
}

/** Checks the header before the data against the directory; the record ends where the next begins. */
async function readRecord(file: ByteReader, record: Listed, next: number): Promise<ZipRecord> {
  const { name, nameBytes, flags, method, crc32, size, stored, offset } = record;
  const wrong = (what: string) => malformed(file.path, `record ${quoteName(name)}: ${what}`);
  const head = await file.read(offset, Math.min(offset + LOCAL_READ_BYTES, next));
  if (head.length < LOCAL.bytes || head.readUInt32LE(0) !== LOCAL.signature) {
    throw wrong('no header before its data');
  }
  const nameEnd = LOCAL.bytes + head.readUInt16LE(26);
  const headEnd = nameEnd + head.readUInt16LE(28);
  const begin = offset + headEnd;
  const end = begin + stored;
  if (end > next) throw wrong('data that overlaps the next record');
  const whole = headEnd <= head.length ? head : await file.read(offset, begin);
  if (!whole.subarray(LOCAL.bytes, nameEnd).equals(nameBytes)) throw wrong('it has two names');
  if (whole.readUInt16LE(6) !== flags || whole.readUInt16LE(8) !== method) {
    throw wrong('its two headers do not agree');
  }
  const numbers = zip64Numbers(whole.subarray(nameEnd, headEnd));
  if (numbers === undefined) throw wrong('extra fields that are not right');
  const [localSize, localStored] = [whole.readUInt32LE(22), whole.readUInt32LE(18)].map((value) =>
    value === IN_ZIP64 && numbers.length > 0 ? numbers.shift() : value,
  );
  const streamed = (flags & FLAG_DESCRIPTOR) !== 0;
  const mayBe = (value: number | undefined, real: number) =>
    value === real || (streamed && (value === 0 || value === IN_ZIP64));
  const agree = mayBe(localSize, size) && mayBe(localStored, stored);
  if (!agree || !mayBe(whole.readUInt32LE(14), crc32)) throw wrong('its two headers do not agree');
  if (streamed) await checkDescriptor(file, { end, next, record }, wrong);
  else if (next !== end) throw wrong('bytes behind its data');
  return { name, begin, end, byteLength: size, deflated: method === DEFLATE, crc32 };
}

async function checkDescriptor(
  file: ByteReader,
  { end, next, record }: { end: number; next: number; record: Listed },
  wrong: (what: string) => SafetensorsError,
): Promise<void> {
  const { crc32, size, stored } = record;
  const length = next - end;
  const isLong = length === DESCRIPTOR.bytes64;
  if (!isLong && length !== DESCRIPTOR.bytes) throw wrong('bytes behind its data');
  const descriptor = await file.read(end, next);
  const [storedAgain, sizeAgain] = isLong
    ? [safeUint64(descriptor, 8), safeUint64(descriptor, 16)]
    : [descriptor.readUInt32LE(8), descriptor.readUInt32LE(12)];
  const agrees =
    descriptor.readUInt32LE(0) === DESCRIPTOR.signature &&
    descriptor.readUInt32LE(4) === crc32 &&
    storedAgain === stored &&
    sizeAgain === size;
  if (!agrees) throw wrong('a descriptor that does not agree with the directory');
}
