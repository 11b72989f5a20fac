import { constants } from 'node:buffer';
import { closeSync, ftruncateSync, openSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
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

describe('a tensor that is longer than a typed array can be', () => {
  const FOUR_GIB = 2 ** 32;
  // Around the places where Node 20 has to go from one buffer to the next, and at the ends.
  const places = [0, 1, FOUR_GIB - 5, FOUR_GIB - 4, FOUR_GIB, LONG_BYTES - 4];

  it.each(places)('is sliced from %i on, without a copy', async (start) => {
    using file = await safeOpen(path);
    const part = file.getSlice('long', [start, start + 4]);
    expect(part.shape).toEqual([4]);
    expect(part.zeroCopy).toBe(true);
    part.bytes.set([1, 2, 3, 4]);
    expect([...file.getSlice('long', [start, start + 4]).data]).toEqual([1, 2, 3, 4]);
    expect([...part.slice([1, 3]).data]).toEqual([2, 3]);
    expect(file.getSlice('long', start + 2).data[0]).toBe(3);
  });

  it('is sliced all over with few buffers', async () => {
    using file = await safeOpen(path);
    const tensor = file.getTensor('long');
    const buffers = new Set<ArrayBufferLike>();
    const step = 2 ** 28;
    for (let start = 0; start < LONG_BYTES; start += step) {
      // Parts that overlap, some of them over the end of a buffer.
      const part = tensor.slice([start, start + step + 12_345]);
      buffers.add(part.data.buffer);
      expect(part.data.at(-1)).toBe(0);
    }
    expect(buffers.size).toBeLessThanOrEqual(3);
    const half = tensor.slice([1.5e9, 5e9]);
    expect(half.data.length).toBe(3.5e9);
  });

  it('is gathered from with no buffer over it', async () => {
    using file = await safeOpen(path);
    const before = process.memoryUsage().external;
    const every = file.getSlice('long', [null, null, 1e9]);
    expect([...every.data]).toEqual([0, 0, 0, 0, 0, 0]);
    expect((await file.getTensor('long').sliceAsync([[null, null, -3e9]])).data.length).toBe(2);
    expect(process.memoryUsage().external - before).toBeLessThan(2 ** 20);
  });

  it('can still be too long, and says so', async () => {
    using file = await safeOpen(path);
    const most = file.getSlice('long', [1, null]);
    if (constants.MAX_LENGTH >= LONG_BYTES) {
      expect(most.data.length).toBe(LONG_BYTES - 1);
    } else {
      expect(await thrownBy(() => most.data)).toBeInstanceOf(RangeError);
      const gathering = await thrownBy(() => file.getSlice('long', [null, null, -1]));
      expect(gathering).toBeInstanceOf(RangeError);
      expect(gathering.message).toContain(String(constants.MAX_LENGTH));
    }
  });
});
