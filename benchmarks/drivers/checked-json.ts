import { isUtf8 } from 'node:buffer';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

const LENGTH_BYTES = 8;
const MAX_HEADER_BYTES = 100_000_000;

// biome-ignore format: a table
const BITS = new Map([
  ['BOOL', 8], ['F4', 4], ['F6_E2M3', 6], ['F6_E3M2', 6], ['U8', 8], ['I8', 8], ['F8_E5M2', 8],
  ['F8_E4M3', 8], ['F8_E8M0', 8], ['F8_E4M3FNUZ', 8], ['F8_E5M2FNUZ', 8], ['I16', 16], ['U16', 16],
  ['F16', 16], ['BF16', 16], ['I32', 32], ['U32', 32], ['F32', 32], ['C64', 64], ['F64', 64],
  ['I64', 64], ['U64', 64],
]);

export interface Entry {
  dtype: string;
  shape: number[];
  begin: number;
  end: number;
}

export interface CheckedHeader {
  tensors: Map<string, Entry>;
  metadata: Map<string, string>;
}

export interface RawHeader {
  text: string;
  dataLength: number;
}

/** Reads the header of a file as text. */
export function readHeader(path: string): RawHeader {
  const descriptor = openSync(path, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const lengthBytes = Buffer.alloc(LENGTH_BYTES);
    if (readSync(descriptor, lengthBytes, 0, LENGTH_BYTES, 0) < LENGTH_BYTES) fail('too small');
    const length = Number(lengthBytes.readBigUInt64LE());
    if (length > MAX_HEADER_BYTES || length > size - LENGTH_BYTES) fail('header length');
    const bytes = Buffer.allocUnsafe(length);
    if (readSync(descriptor, bytes, 0, length, LENGTH_BYTES) < length) fail('header length');
    if (!isUtf8(bytes)) fail('not UTF-8');
    return { text: bytes.toString('utf8'), dataLength: size - LENGTH_BYTES - length };
  } finally {
    closeSync(descriptor);
  }
}

/**
 * What one would write without this package: JSON.parse, then every check that the format demands
 * and that can still be made on its result. Duplicate keys, `2.0` for `2` and a lone surrogate in
 * an ignored field cannot be seen any more.
 */
export function parseAndCheck({ text, dataLength }: RawHeader): CheckedHeader {
  const header: unknown = JSON.parse(text);
  if (!isRecord(header)) fail('no object');
  const tensors = new Map<string, Entry>();
  let metadata = new Map<string, string>();
  for (const name of Object.keys(header)) {
    const value = header[name];
    if (name === '__metadata__') metadata = checkedMetadata(value);
    else if (name.isWellFormed()) tensors.set(name, checkedEntry(value));
    else fail('lone surrogate');
  }
  checkTiling([...tensors.values()], dataLength);
  return { tensors, metadata };
}

function checkedEntry(value: unknown): Entry {
  if (!isRecord(value)) fail('an entry is no object');
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string') fail('dtype');
  const bits = BITS.get(dtype);
  if (bits === undefined) fail('unknown dtype');
  if (!isSizes(shape)) fail('shape');
  if (!isSizes(offsets) || offsets.length !== 2) fail('data_offsets');
  let elements = 1;
  for (const dimension of shape) elements *= dimension;
  if ((elements * bits) / 8 > Number.MAX_SAFE_INTEGER) fail('overflow');
  if (((elements % 8) * bits) % 8 !== 0) fail('no whole bytes');
  const [begin, end] = offsets;
  if ((elements / 8) * bits !== end - begin) fail('size');
  return { dtype, shape, begin, end };
}

function checkedMetadata(value: unknown): Map<string, string> {
  const metadata = new Map<string, string>();
  if (value === null) return metadata;
  if (!isRecord(value)) fail('__metadata__ is no object');
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string' || !key.isWellFormed() || !text.isWellFormed()) fail('metadata');
    metadata.set(key, text);
  }
  return metadata;
}

/** Most headers are in the order of their data: sorted only if they are not. */
function checkTiling(entries: Entry[], dataLength: number): void {
  const sorted = entries.every(({ begin }, i) => i === 0 || begin === entries[i - 1].end);
  if (!sorted) entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let expected = 0;
  for (const { begin, end } of entries) {
    if (begin !== expected) fail('a gap or an overlap');
    expected = end;
  }
  if (expected !== dataLength) fail('coverage');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  if (!Array.isArray(value)) return false;
  for (const item of value) {
    if (!Number.isSafeInteger(item) || item < 0 || Object.is(item, -0)) return false;
  }
  return true;
}

function fail(what: string): never {
  throw new Error(`invalid header: ${what}`);
}
