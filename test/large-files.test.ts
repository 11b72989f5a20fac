import { constants } from 'node:buffer';
import { closeSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { safeOpen } from '../src/index.ts';
import { childReport } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { temporaryFolder } from './support/temporary.ts';

const GIGABYTE = 1e9;

/** As large as DeepSeek-V3: more than this machine has memory, and more than one 4 GiB buffer. */
const FILE_BYTES = 685 * GIGABYTE;
const CHUNK_BYTES = 3.5 * GIGABYTE;
const LONG_BYTES = 6 * GIGABYTE;

const LAST = new Float32Array([1.5, -2.5]);

interface Report {
  openedExternal: number;
  viewedExternal: number;
  fullCollections: number;
  last: string[];
}

/** A sparse file: U8 tensors of many gigabytes that are all hole, then two numbers. */
function makeLargeFile(): string {
  const path = join(temporaryFolder(), 'large.safetensors');
  const entries: string[] = [];
  let end = 0;
  const add = (name: string, dtype: string, shape: number, bytes: number) => {
    entries.push(
      `"${name}":{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${end},${end + bytes}]}`,
    );
    end += bytes;
  };
  add('long', 'U8', LONG_BYTES, LONG_BYTES);
  for (let i = 0; end < FILE_BYTES; i++) add(`chunk.${i}`, 'U8', CHUNK_BYTES, CHUNK_BYTES);
  add('last', 'F32', LAST.length, LAST.byteLength);
  const json = `{${entries.join(',')}}`;
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const preamble = Buffer.alloc(8);
  preamble.writeBigUInt64LE(BigInt(header.length));
  const descriptor = openSync(path, 'w');
  try {
    writeSync(descriptor, Buffer.concat([preamble, header]));
    ftruncateSync(descriptor, 8 + header.length + end);
    writeSync(descriptor, LAST, 0, LAST.byteLength, 8 + header.length + end - LAST.byteLength);
  } finally {
    closeSync(descriptor);
  }
  return path;
}

const path = makeLargeFile();

it('opens 685 GB without an ArrayBuffer over them, and reads the last tensor', async () => {
  expect(statSync(path).size).toBeGreaterThan(FILE_BYTES);
  const report = await childReport<Report>('large-file', [path, 'last']);
  expect(report.last).toEqual([String(LAST[1])]);
  expect(report.openedExternal).toBeLessThan(2 ** 20);
  expect(report.fullCollections).toBeLessThanOrEqual(1);
});

it('makes one buffer for all tensors, as far as the runtime allows', async () => {
  const names = ['chunk.0', 'chunk.1', 'chunk.100', 'last', 'chunk.2'];
  const report = await childReport<Report>('large-file', [path, ...names]);
  expect(report.last).toEqual(['0', '0', '0', String(LAST[1]), '0']);
  if (constants.MAX_LENGTH > FILE_BYTES) {
    expect(report.fullCollections).toBeLessThanOrEqual(1);
    expect(report.viewedExternal).toBeLessThan(FILE_BYTES + 10 * GIGABYTE);
  } else {
    // One buffer of at most 4 GiB for each of these tensors, and none beyond them.
    expect(report.viewedExternal).toBeLessThan(names.length * constants.MAX_LENGTH + GIGABYTE);
  }
});

it('says so when a tensor is longer than a typed array can be', async () => {
  using file = await safeOpen(path);
  const tensor = file.getTensor('long');
  expect(tensor.byteLength).toBe(LONG_BYTES);
  if (constants.MAX_LENGTH >= LONG_BYTES) {
    expect(tensor.data.length).toBe(LONG_BYTES);
    expect(tensor.data.at(-1)).toBe(0);
  } else {
    const error = await thrownBy(() => tensor.data);
    expect(error).toBeInstanceOf(RangeError);
    expect(error.message).toContain(String(constants.MAX_LENGTH));
    expect(await thrownBy(() => tensor.bytes)).toBeInstanceOf(RangeError);
    // Its neighbours are not affected.
    expect(file.getTensor('chunk.0').data.at(-1)).toBe(0);
  }
});
