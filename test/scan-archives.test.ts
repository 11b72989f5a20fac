import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { scanCheckpoint } from '../src/convert/index.ts';
import { header, npy } from './support/arrays.ts';
import {
  EVIL,
  entriesOf,
  named,
  pickle,
  py,
  tar,
  tarEntries,
  tensor,
  zip,
} from './support/checkpoints.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();
const folder = temporaryFolder();

/** What the scan of a folder says of a file in it whose name says nothing. */
async function inFolder(bytes: Buffer) {
  const within = mkdtempSync(join(folder, 'scan-'));
  writeFileSync(join(within, 'weights'), bytes);
  return scanCheckpoint(within);
}

const evil = pickle(EVIL);
const os = [expect.objectContaining({ call: expect.stringMatching(/^os\.system\("curl/) })];

describe('tar files in folders that PyTorch reads and this package refuses', () => {
  const more = { name: 'README', data: Buffer.from('text') };
  const withEvil = (name: string) =>
    tarEntries().map((entry) => (entry.name === name ? { name, data: evil } : entry));

  it.each(['storages', 'tensors', 'pickle'])('are named for what is in %s', async (name) => {
    const report = await inFolder(tar([more, ...withEvil(name)]));
    expect(report).toMatchObject([{ verdict: 'dangerous', calls: os }]);
  });

  it('are seen without the magic of POSIX, whatever they begin with', async () => {
    const entries = [more, ...withEvil('storages')].map((entry) => ({ ...entry, magic: false }));
    expect(await inFolder(tar(entries))).toMatchObject([{ verdict: 'dangerous', calls: os }]);
  });

  it.each([
    ['x', '17 path=storages\n'],
    ['L', 'storages\0'],
  ])('are seen where a header of type %s names them', async (type, name) => {
    const entries = [
      more,
      { name: 'long', type, data: Buffer.from(name) },
      { name: 'other', data: evil },
    ];
    expect(await inFolder(tar(entries))).toMatchObject([{ verdict: 'dangerous', calls: os }]);
  });

  it('are reported where they have nothing to name', async () => {
    const report = await inFolder(tar([more, ...tarEntries()]));
    expect(report).toMatchObject([{ verdict: 'unknown', problem: { message: /another name/ } }]);
  });

  it('are reported where there is more to do than may be', { timeout: 120_000 }, async () => {
    const long = pickle(Buffer.concat([Buffer.alloc(6_000_000, ']0'), EVIL]));
    const code = 'ERR_SAFETENSORS_CHECKPOINT_LIMIT';
    const report = await inFolder(tar([{ name: 'storages', data: long }]));
    expect(report).toMatchObject([{ verdict: 'unknown', problem: { code } }]);
  });

  it('are left out where PyTorch finds nothing in them', async () => {
    expect(await inFolder(tar([more]))).toEqual([]);
  });
});

describe('records of a checkpoint beside its own', () => {
  const state = pickle(named(['w', tensor()]));
  const scanned = async (name: string, data: Buffer) => {
    const path = makeFile(zip([...entriesOf(state), { name: `model/${name}`, data }]), 'model.pt');
    const [report] = await scanCheckpoint(path);
    return report;
  };
  const harmless = pickle(py.none);
  const objects = npy(header("'|O'", '(1,)'), pickle(py.list(EVIL)));
  const old = Buffer.from("cos\nsystem\n(S'curl'\ntR.");

  it.each([
    ['an array of objects', 'x.npy', objects],
    ['one of another name', 'x', objects],
    ['a pickle of protocol 0', 'y', old],
    ['a pickle behind another', 'z.pkl', Buffer.concat([harmless, evil])],
    ['one of protocol 0 behind another', 'z', Buffer.concat([harmless, old])],
  ])('are looked at: %s', async (_, name, data) => {
    expect(await scanned(name, data)).toMatchObject({ verdict: 'dangerous', calls: os });
  });

  it.each([
    ['bytes behind a pickle', 'z', Buffer.from('N.\xff')],
    ['an array that is cut', 'x.npy', objects.subarray(0, 20)],
    ['a name of a pickle', 'z.pkl', Buffer.from('text')],
  ])('are unknown: %s', async (_, name, data) => {
    expect(await scanned(name, data)).toMatchObject({ verdict: 'unknown', calls: [] });
  });

  it.each([
    ['a pickle that names nothing', 'z.pkl', Buffer.concat([harmless, harmless])],
    ['a text', 'notice', Buffer.from('Copyright (c) 2024, and so on, and so forth\n')],
    ['a text that begins as a global', 'classes', Buffer.from('class_names:\n- cat\n- dog\n')],
    ['a program', 'program', Buffer.from('const a = 1;\nlet b;\n')],
    ['an array of numbers', 'x.npy', npy(header("'<f4'", '(4,)'), Buffer.alloc(16))],
    ['the data of a tensor', 'data/7', old],
  ])('are safe: %s', async (_, name, data) => {
    expect(await scanned(name, data)).toMatchObject({ verdict: 'safe', calls: [] });
  });
});

describe('zip files in folders', () => {
  const record = (name: string, method: number, data: Buffer) => {
    const header = Buffer.alloc(30);
    header.write('PK\x03\x04', 'latin1');
    header.writeUInt16LE(method, 8);
    header.writeUInt16LE(name.length, 26);
    return Buffer.concat([header, Buffer.from(name), data]);
  };

  it('are reported where they were not searched to their end', async () => {
    const packed = record('a/data.pkl', 8, deflateRawSync(evil));
    const before = record('a/data/0', 0, Buffer.alloc(66 * 2 ** 20));
    expect(await inFolder(packed)).toMatchObject([{ verdict: 'dangerous', calls: os }]);
    const code = 'ERR_SAFETENSORS_CHECKPOINT_LIMIT';
    const report = await inFolder(Buffer.concat([before, packed]));
    expect(report).toMatchObject([{ verdict: 'unknown', problem: { code } }]);
    // With what is wrong with it first.
    expect(report[0].problem?.message).toMatch(/^[^:]+: .*zip.*; only its first 67108864 bytes/);
  });

  it('are left out where they were, and name nothing', async () => {
    const text = record('readme', 8, deflateRawSync(Buffer.from('text')));
    expect(await inFolder(text)).toEqual([]);
  });
});
