import { expect, it } from 'vitest';
import { bytesOf } from '../src/decode/memory.ts';

/** As a tensor over 4 GiB is on Node 20: in windows, which end anywhere. */
function windowed(all: Uint8Array, windows: readonly number[]) {
  return {
    byteLength: all.length,
    path: undefined,
    storage: undefined,
    fileAt: () => undefined,
    assertIntact: () => {},
    bytes: (begin: number, end: number) => {
      const limit = windows.find((at) => at > begin) ?? all.length;
      return all.subarray(begin, Math.min(end, limit));
    },
  };
}

const all = Uint8Array.from({ length: 40 }, (_, i) => i);

it('has bytes of one window without copying them', () => {
  const bytes = bytesOf(windowed(all, [10, 11, 30]), 11, 30);
  expect(bytes.buffer).toBe(all.buffer);
  expect([...bytes]).toEqual([...all.subarray(11, 30)]);
});

it.each([
  [0, 40],
  [9, 12],
  [10, 31],
  [3, 11],
])('has bytes %i to %i of several windows as a copy', (begin, end) => {
  const bytes = bytesOf(windowed(all, [10, 11, 30]), begin, end);
  expect([...bytes]).toEqual([...all.subarray(begin, end)]);
  expect(bytes.buffer).not.toBe(all.buffer);
});
