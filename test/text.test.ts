/** What the addon sees of a text's bytes. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { native } from '../src/native.ts';
import { temporaryFolder } from './support/temporary.ts';

const path = join(temporaryFolder(), 'text');

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
