import { mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { deserialize, safeOpen, safeOpenSync } from '../src/index.ts';
import { buildFile, rawFile } from './support/build.ts';
import { thrownBy } from './support/errors.ts';
import { fileMaker } from './support/temporary.ts';

const makeFile = fileMaker();

const LFS_POINTER = `version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 12345
`;

const INDEX = {
  metadata: { total_size: 16 },
  weight_map: { 'a.weight': 'model-00001-of-00001.safetensors' },
};

/** `pickle.dumps({"a": [1, 2, 3], "b": "text"}, protocol)` of Python 3.11, by protocol. */
const PICKLES: Readonly<Record<number, string>> = {
  2: 'gAJ9cQAoWAEAAABhcQFdcQIoSwFLAksDZVgBAAAAYnEDWAQAAAB0ZXh0cQR1Lg==',
  3: 'gAN9cQAoWAEAAABhcQFdcQIoSwFLAksDZVgBAAAAYnEDWAQAAAB0ZXh0cQR1Lg==',
  4: 'gASVHgAAAAAAAAB9lCiMAWGUXZQoSwFLAksDZYwBYpSMBHRleHSUdS4=',
  5: 'gAWVHgAAAAAAAAB9lCiMAWGUXZQoSwFLAksDZYwBYpSMBHRleHSUdS4=',
};

/** The magic number that torch.save wrote before it wrote zips: a long integer, pickled. */
const OLD_TORCH = Buffer.from('80028a0a6cfc9c46f9206aa850192e8002', 'hex');

interface OtherFile {
  kind: string;
  bytes: Uint8Array | string;
  /** What the message must call it. */
  says: RegExp;
  /** What the message must tell the reader to do. */
  advises: RegExp;
}

const PYTORCH = { says: /pickle/i, advises: /convert it to safetensors/ };

const OTHERS: readonly OtherFile[] = [
  {
    kind: 'a zip, as torch.save writes it',
    bytes: Buffer.concat([
      Buffer.from('PK\x03\x04\0\0\x08\x08\0\0', 'latin1'),
      Buffer.from('archive/data.pkl'),
      Buffer.alloc(40),
    ]),
    says: /zip archive.*PyTorch/,
    advises: /convert it to safetensors/,
  },
  ...Object.entries(PICKLES).map(([protocol, base64]) => ({
    kind: `a pickle of protocol ${protocol}`,
    bytes: Buffer.from(base64, 'base64'),
    ...PYTORCH,
  })),
  { kind: 'an old PyTorch checkpoint', bytes: OLD_TORCH, ...PYTORCH },
  {
    kind: 'GGUF',
    bytes: Buffer.from('GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0', 'latin1'),
    says: /GGUF/,
    advises: /safetensors/,
  },
  ...[
    '<!DOCTYPE html><html>',
    '<!doctype html>\n<p>',
    '\n  <html lang="en">',
    '<?xml version="1.0"?>',
  ].map((text) => ({
    kind: `a page that begins ${JSON.stringify(text)}`,
    bytes: text.padEnd(200, ' '),
    says: /HTML page/,
    advises: /download the file again/,
  })),
  {
    kind: 'a Git LFS pointer',
    bytes: LFS_POINTER,
    says: /Git LFS pointer/,
    advises: /git lfs pull/,
  },
  {
    kind: 'HDF5',
    bytes: Buffer.from('\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0', 'latin1'),
    says: /HDF5/,
    advises: /convert it to safetensors/,
  },
  ...[JSON.stringify(INDEX), JSON.stringify(INDEX, null, 2), '[{"a": 1}, {"b": 2}]'].map(
    (text) => ({
      kind: `JSON that begins ${JSON.stringify(text.slice(0, 10))}`,
      bytes: text,
      says: /JSON file.*index of a sharded model/,
      advises: /\.safetensors files/,
    }),
  ),
];

const ways: Record<string, (bytes: Uint8Array) => unknown> = {
  deserialize: (bytes) => deserialize(bytes),
  safeOpen: (bytes) => safeOpen(makeFile(bytes)),
  safeOpenSync: (bytes) => safeOpenSync(makeFile(bytes)),
};

describe.each(Object.entries(ways))('%s names', (_, open) => {
  it.each(OTHERS)('$kind', async ({ bytes, says, advises }) => {
    const error = await thrownBy(() => open(Buffer.from(bytes)));
    expect(error.code).toBe('ERR_SAFETENSORS_NOT_SAFETENSORS');
    expect(error.message).toMatch(says);
    expect(error.message).toMatch(advises);
  });
});

it('refuses an unknown kind of file by its header length', async () => {
  const error = await thrownBy(() => deserialize(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')));
  expect(error.code).toBe('ERR_SAFETENSORS_HEADER_TOO_LARGE');
});

/** A valid file whose header is padded to a length of its own. */
function fileOfHeaderLength(length: number, opening = ''): Buffer {
  const json = `${opening}{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}`;
  return rawFile(json.padEnd(length, ' '), Uint8Array.of(1, 2, 3));
}

describe('is not misled by a header length that looks like another kind', () => {
  /** Lengths within the limit whose bytes are those that another kind of file begins with. */
  const LENGTHS = [
    ...[2, 3, 4, 5].flatMap((protocol) => [
      0x80 | (protocol << 8),
      0x80 | (protocol << 8) | (0x7d << 16), // "}"
      0x80 | (protocol << 8) | (0x95 << 16), // the frame of protocols 4 and 5
    ]),
    ...['PK\x03\x04', 'GGUF', '<htm', '<!do', 'vers', '\x89HDF', '{"me', '[{"a', '{\n "'].map(
      (magic) => Buffer.from(magic, 'latin1').readUInt32LE(),
    ),
  ].filter((length) => length <= 100_000_000);

  it('tries every pickle, and a zip', () => {
    expect(LENGTHS.length).toBeGreaterThanOrEqual(13);
  });

  it.each(LENGTHS.map((length) => [length, `0x${length.toString(16)}`] as const))(
    '%i (%s)',
    (length) => {
      const file = fileOfHeaderLength(length);
      expect([...deserialize(file).getTensor('a').bytes]).toEqual([1, 2, 3]);
    },
  );

  it.each([' ', '\n', '\t', '\r'])('nor when the header begins with %j', (space) => {
    const file = fileOfHeaderLength(0x7d0280, space);
    expect([...deserialize(file).getTensor('a').bytes]).toEqual([1, 2, 3]);
  });
});

it('accepts names and data that look like other kinds', () => {
  const tensors = ['GGUF', 'PK\x03\x04', '<html>', LFS_POINTER].map((name) => {
    const data = Buffer.from(name, 'latin1');
    return { name, dtype: 'U8', shape: [data.length], data };
  });
  expect(deserialize(buildFile(tensors)).keys()).toEqual(tensors.map(({ name }) => name));
});

it('names no kind for a folder: that is EISDIR, through a link too', async () => {
  const folder = `${makeFile(new Uint8Array(0))}.d`;
  mkdirSync(folder);
  symlinkSync(folder, join(folder, 'link'));
  for (const path of [folder, join(folder, 'link')]) {
    expect((await thrownBy(() => safeOpen(path))).code).toBe('EISDIR');
  }
});
