/** What the addon notes of a text's bytes, against a search byte by byte. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { native } from '../src/native.ts';
import { temporaryFolder } from './support/temporary.ts';

const path = join(temporaryFolder(), 'text');

function isMarked(byte: number): boolean {
  return byte === 0x22 || byte === 0x5c || byte < 0x20;
}

async function readText(text: Uint8Array, room: number) {
  writeFileSync(path, text);
  const addon = native();
  const { handle } = await addon.open(path, new Uint8Array(0), 'mmap');
  const target = new Uint8Array(text.length);
  const marks = new Int32Array(room);
  const read = await addon.readText(handle, target, marks);
  addon.close(handle);
  expect(target).toEqual(text);
  return { ...read, places: [...marks.subarray(0, read.marks)] };
}

const letters = fc.constantFrom(...Buffer.from('az"\\\0\n\x1f\x20\x21\x23\x5b\x5d\x7f'));
const anyText = fc
  .oneof(fc.array(letters, { maxLength: 300 }), fc.array(fc.nat(255), { maxLength: 300 }))
  .map((bytes) => Uint8Array.from(bytes));

it('notes quotes, backslashes and control characters, as far as there is room', async () => {
  await fc.assert(
    fc.asyncProperty(anyText, fc.nat(400), async (text, room) => {
      const places = [...text.keys()].filter((at) => isMarked(text[at]));
      const read = await readText(text, room);
      expect(read.places).toEqual(places.slice(0, room));
      expect(read.bytes).toBe(text.length);
      expect(read.isAscii).toBe(text.every((byte) => byte < 0x80));
    }),
    { numRuns: 300 },
  );
});

it('notes all 256 bytes, at every place of a block, also across the pieces that are read', async () => {
  for (let byte = 0; byte < 256; byte++) {
    const text = new Uint8Array(130).fill(0x61);
    text[byte % 130] = byte;
    const read = await readText(text, 1);
    expect([byte, read.marks]).toEqual([byte, isMarked(byte) ? 1 : 0]);
    expect(read.isAscii).toBe(byte < 0x80);
  }
  const long = new Uint8Array(3 * 2 ** 20 + 17);
  for (const [at] of long.entries()) long[at] = at % 257 === 0 ? 0x22 : 0x61;
  const { places } = await readText(long, long.length);
  expect(places).toEqual(Array.from({ length: Math.ceil(long.length / 257) }, (_, i) => 257 * i));
});

it('tells where the text of a prefix stops being ASCII', async () => {
  const addon = native();
  for (const at of [0, 7, 8, 9, 63, 71, 72, 100, 199]) {
    const text = Buffer.alloc(200, 'a');
    text[at] = 0xc3;
    writeFileSync(path, text);
    const range = addon.reserve(addon.pageBytes);
    const prefix = Buffer.alloc(200);
    const file = { path, offset: 0, byteLength: 200, prefix, textStart: 8 };
    const [opened] = await addon.openInto(range, [file], true);
    if (opened instanceof Error) throw opened;
    expect([at, opened.asciiEnd]).toEqual([at, at < 8 ? 200 : at]);
    addon.close(opened.handle);
    addon.close(range);
  }
});
