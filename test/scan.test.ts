import { mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, it, vi } from 'vitest';
import { convertCheckpoint, scanCheckpoint } from '../src/convert/index.ts';
import { gguf, header, npy } from './support/arrays.ts';
import { EVIL, entriesOf, named, pickle, py, tensor, zip } from './support/checkpoints.ts';
import { runCli } from './support/cli.ts';
import { thrownBy } from './support/errors.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();
const folder = temporaryFolder();

async function scanned(bytes: Buffer, name = 'x.bin') {
  const [report] = await scanCheckpoint(makeFile(bytes, name));
  return report;
}

const stackGlobal = (module: string, name: string) =>
  Buffer.concat([py.text(module), py.text(name), Buffer.from([0x93])]);

describe('scans of arrays', () => {
  it.each([
    "'object'",
    "'O'",
    "'|O8'",
    "'i4,O'",
    "'\\x4f'",
    "['aO']",
    "'(1,)O'",
    "{'aO': 1}",
    "[('a', '<f4'), ('b', [('c', '|O')])]",
  ])('see the pickle of the dtype %s', async (descr) => {
    const evil = npy(header(descr, '(1,)'), pickle(py.list(EVIL)));
    expect(await scanned(evil, 'x.npy')).toMatchObject({ verdict: 'dangerous' });
  });

  it('call what may be objects unknown, whatever their pickle has', async () => {
    const harmless = npy(header("'i4,O'", '(1,)'), pickle(py.list(py.int(1))));
    expect(await scanned(harmless, 'x.npy')).toMatchObject({ verdict: 'unknown' });
  });

  it.each([
    ["'<f4'", 4],
    ["'|S3'", 3],
    ["'<U2'", 8],
    ["'<M8[ns]'", 8],
    ["'?'", 1],
    ["[('a', '<f4'), ('b', '|V3', (2,))]", 10],
  ])('see data in the dtype %s', async (descr, itemBytes) => {
    const evil = pickle(py.list(EVIL));
    const data = Buffer.concat([evil, Buffer.alloc(itemBytes - (evil.length % itemBytes))]);
    const array = npy(header(descr, `(${data.length / itemBytes},)`), data);
    expect(await scanned(array, 'x.npy')).toMatchObject({ verdict: 'safe', calls: [] });
    const problem = { code: 'ERR_SAFETENSORS_MALFORMED_CHECKPOINT' };
    for (const other of [array.subarray(0, -1), Buffer.concat([array, Buffer.from('.')])]) {
      expect(await scanned(other, 'x.npy')).toMatchObject({ verdict: 'unknown', problem });
    }
  });

  it('see what is behind an array, as two calls of save write it', async () => {
    const numbers = npy(header("'<f4'", '(4,)'), Buffer.alloc(16));
    const evil = npy(header("'|O'", '(1,)'), pickle(py.list(EVIL)));
    const call = { call: expect.stringMatching(/^os\.system/) };
    for (const bytes of [
      [numbers, evil],
      [npy(header("'|O'", '(1,)'), pickle(py.none)), evil],
    ]) {
      const report = await scanned(Buffer.concat(bytes), 'two.npy');
      expect(report).toMatchObject({ verdict: 'dangerous', calls: [call] });
    }
    const two = Buffer.concat([numbers, numbers]);
    const problem = { message: expect.stringMatching(/bytes behind it/) };
    expect(await scanned(two, 'two.npy')).toMatchObject({ verdict: 'unknown', problem });
    const thousands = Buffer.concat(Array<Buffer>(1100).fill(numbers));
    const limit = { code: 'ERR_SAFETENSORS_CHECKPOINT_LIMIT' };
    expect(await scanned(thousands, 'x.npy')).toMatchObject({ problem: limit });
  });

  it('find none where only a header is', async () => {
    const problem = { code: 'ERR_SAFETENSORS_MALFORMED_CHECKPOINT' };
    for (const descr of ["'<f4'", "'|S'", "'<i99'"]) {
      const short = npy(header(descr, '(4,)'), Buffer.alloc(0));
      expect(await scanned(short, 'short.npy')).toMatchObject({ verdict: 'unknown', problem });
    }
  });
});

describe('scans of names', () => {
  it.each([
    ['torch.serialization', 'os.system', 'it runs commands'],
    ['builtins', 'eval.__call__', 'it runs code'],
    ['__main__', 'Model.method', 'it reaches any attribute or function'],
  ])('follow the dots of %s and %s', async (module, name, danger) => {
    const called = pickle(py.call(stackGlobal(module, name), py.text('true')));
    const { verdict, calls } = await scanned(called);
    expect({ verdict, danger: calls[0].danger }).toEqual({ verdict: 'dangerous', danger });
  });

  it('take time in proportion to the calls in a chain', { timeout: 60_000 }, async () => {
    const chain = Buffer.from(`cfoo\nbar\n${')R'.repeat(1_000_000)}.`, 'latin1');
    expect(await scanned(chain)).toMatchObject({ verdict: 'unknown' });
  });
});

describe('reports of scans', () => {
  const harmless = Array.from({ length: 1200 }, (_, i) => py.call(py.global('foo', `f${i}`)));

  it('begin with what does harm, however much is before it', async () => {
    const { verdict, globals, calls, omitted } = await scanned(pickle(py.list(...harmless, EVIL)));
    expect(verdict).toBe('dangerous');
    expect(globals[0]).toMatchObject({ name: 'os.system', danger: 'it runs commands' });
    expect(calls[0]).toMatchObject({ call: expect.stringMatching(/^os\.system\("curl/) });
    expect([globals.length, calls.length]).toEqual([1000, 1000]);
    expect(omitted).toEqual({ globals: 201, calls: 201 });
  });

  it('are printed with the reason, and with how much is left out', async () => {
    const path = makeFile(pickle(py.list(...harmless, EVIL)), 'many.pkl');
    const { code, stdout } = await runCli(['scan', path]);
    expect(code).toBe(3);
    const lines = stdout.split('\n');
    expect(lines[0]).toBe(`${path}  DANGEROUS: it runs commands`);
    expect(lines.filter((line) => line === '    … and 201 more').length).toBe(2);
  });

  it('leave nothing out of a short one', async () => {
    expect((await scanned(pickle(EVIL))).omitted).toEqual({ globals: 0, calls: 0 });
  });
});

describe('scans of files with many pickles', () => {
  // Copies of a list of 2,000 items, in four bytes each.
  const list = Buffer.concat([py.list(Buffer.alloc(2000, 'N')), Buffer.from('q\x000')]);
  const copy = Buffer.concat([py.global('builtins', 'set'), Buffer.from('h\0\x85R0', 'latin1')]);
  const long = pickle(Buffer.concat([list, ...Array(13_000).fill(copy), py.none]));
  const entries = Array.from({ length: 40 }, (_, i) => ({ name: `model/x${i}.pkl`, data: long }));
  const state = pickle(named(['w', tensor()]));
  const path = makeFile(zip([...entriesOf(state), ...entries]), 'many.pt');

  it('do work for a few of them, and say so', { timeout: 120_000 }, async () => {
    const began = process.cpuUsage();
    const one = await scanned(zip([...entriesOf(state), entries[0]]));
    const forOne = process.cpuUsage(began).user;
    const [report] = await scanCheckpoint(path);
    const forAll = process.cpuUsage(began).user - forOne;
    for (const { verdict, problem } of [one, report]) {
      expect(verdict).toBe('unknown');
      expect(problem).toMatchObject({ code: 'ERR_SAFETENSORS_CHECKPOINT_LIMIT' });
    }
    expect(forAll / forOne).toBeLessThan(20);
  });

  it('end with the signal within one of them', { timeout: 60_000 }, async () => {
    const enough = new Error('enough');
    const file = makeFile(long, 'long.pkl');
    const output = join(folder, 'long.safetensors');
    const works = [
      (signal: AbortSignal) => scanCheckpoint(file, { signal }),
      (signal: AbortSignal) => convertCheckpoint(file, output, { signal }),
    ];
    const later = setImmediate;
    for (const work of works) {
      const controller = new AbortController();
      // A pickle gives way by one.
      vi.spyOn(globalThis, 'setImmediate').mockImplementation(((run: () => void) => {
        controller.abort(enough);
        return later(run);
      }) as typeof setImmediate);
      expect(await thrownBy(() => work(controller.signal))).toBe(enough);
      vi.restoreAllMocks();
    }
  });
});

describe('scans of files that are two things', () => {
  // Pickle: a float of the magic, the version and a byte of the count; a text up to the line feed in a key.
  const payload = `\ncos\nsystem\n(S'true'\ntR.`;
  const both = gguf({
    keys: [[payload, Buffer.from([7, 0, 0, 0, 1])]],
    tensors: Array.from({ length: 0x5601 }, (_, i) => ({ name: `t${i}` })),
  });

  it('name what Python would run of a GGUF file that is a pickle too', async () => {
    const { verdict, calls } = await scanned(both);
    expect({ verdict, call: calls[0].call }).toEqual({
      verdict: 'dangerous',
      call: 'os.system("true")',
    });
    const error = await thrownBy(() =>
      convertCheckpoint(makeFile(both, 'x.gguf'), join(folder, 'x.safetensors')),
    );
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_UNSAFE_PICKLE' });
  });
});

describe('scans of pickles that do not begin as usual', () => {
  const payload = Buffer.from("0cos\nsystem\n(S'true'\ntR.");
  const FRAME_OF_40 = [0x95, 40, 0, 0, 0, 0, 0, 0, 0];
  it.each([
    ['bytes', Buffer.from('C\0')],
    ['long bytes', Buffer.from('B\0\0\0\0')],
    ['a bytearray', Buffer.from([0x96, 0, 0, 0, 0, 0, 0, 0, 0])],
    ['half a surrogate pair', Buffer.from([0x58, 3, 0, 0, 0, 0xed, 0xa0, 0x80])],
    ['a long line', Buffer.from(`V${'a'.repeat(70_000)}\n`)],
    ['a long integer', Buffer.concat([Buffer.from([0x8b, 0, 8, 0, 0]), Buffer.alloc(2048)])],
    ['a number that is octal to some', Buffer.from('I010\n')],
    ['a number in hexadecimal', Buffer.from('I0x1f\n')],
    ['a number of many digits', Buffer.from(`L${'9'.repeat(5000)}L\n`)],
    ['a number of Python with an underscore', Buffer.from('L1_0L\n')],
    ['a float with an underscore', Buffer.from('F1_0.5\n')],
    ['half a surrogate pair, escaped', Buffer.from('V\\ud800\n')],
    ['an index of the memo with blanks', Buffer.from('Np 1\n')],
    ['an object of an extension', Buffer.from([0x4e, 0x30, 0x82, 1])],
    ['a buffer out of band', Buffer.from([0x4e, 0x30, 0x97, 0x98])],
    ['an item of what is no list', Buffer.from('I1\nNa')],
    ['a frame within a frame', Buffer.from([...FRAME_OF_40, ...FRAME_OF_40, 0x4e])],
  ])('see what comes after %s, and convert nothing', async (_, start) => {
    const within = mkdtempSync(join(folder, 'scan-'));
    const path = join(within, 'weights');
    const behind = Buffer.alloc(40);
    writeFileSync(path, Buffer.concat([start, payload, behind]));
    expect(await scanCheckpoint(within)).toMatchObject([{ verdict: 'dangerous' }]);
    writeFileSync(path, Buffer.concat([start, Buffer.from('0}.'), behind]));
    expect(await scanCheckpoint(path)).toMatchObject([{ verdict: 'unknown' }]);
    const error = await thrownBy(() => convertCheckpoint(path, join(within, 'out.safetensors')));
    expect(error).toMatchObject({ code: expect.stringMatching(/^ERR_SAFETENSORS_/) });
  });

  it('report in folders what ends early, unless it is no pickle', async () => {
    const within = mkdtempSync(join(folder, 'scan-'));
    const files = {
      // Python sets the item of a list.
      item: '](K\0eK\0Ns.',
      'notes.txt': 'In the beginning\n',
      'names.txt': 'Name: x\n',
      'copying.txt': '(see the documentation)\n',
      'some.txt': 'Some text\n',
      'title.txt': 'Title\n',
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(within, name), text);
    const found = await scanCheckpoint(within);
    expect(found.map(({ path, verdict }) => [path, verdict])).toEqual([
      [join(within, 'item'), 'unknown'],
    ]);
  });
});

describe('scans of folders', () => {
  it('take no safetensors file for a pickle, whatever the length of its header', async () => {
    const within = mkdtempSync(join(folder, 'scan-'));
    // Of all of these the first two bytes are the mark of a protocol.
    for (const length of [128, 384, 640, 896, 1152, 1408]) {
      const size = Buffer.alloc(8);
      size.writeBigUInt64LE(BigInt(length));
      const bytes = Buffer.concat([size, Buffer.from('{}'.padEnd(length))]);
      writeFileSync(join(within, `${length}.safetensors`), bytes);
    }
    expect(await scanCheckpoint(within)).toEqual([]);
    // Begins as they do, and is a pickle.
    const start = Buffer.from('\x80\x02X\x05\0\0\0\0{abc', 'latin1');
    const path = join(within, 'evil.safetensors');
    writeFileSync(path, Buffer.concat([start, pickle(EVIL)]));
    const found = await scanCheckpoint(within);
    expect(found.map(({ path: at, verdict }) => [at, verdict])).toEqual([[path, 'dangerous']]);
  });

  it('follow links to files only, and go on after what cannot be read', async () => {
    const within = mkdtempSync(join(folder, 'scan-'));
    mkdirSync(join(within, 'b'));
    symlinkSync('.', join(within, 'loop'));
    symlinkSync('..', join(within, 'b', 'up'));
    symlinkSync('nowhere', join(within, 'a'));
    writeFileSync(join(within, 'b', 'evil.pkl'), pickle(EVIL));
    symlinkSync('b/evil.pkl', join(within, 'link.pkl'));
    const found = await scanCheckpoint(within);
    expect(found.map(({ path, verdict }) => [path, verdict])).toEqual([
      [join(within, 'a'), 'unknown'],
      [join(within, 'link.pkl'), 'dangerous'],
      [join(within, 'b', 'evil.pkl'), 'dangerous'],
    ]);
    expect(found[0].problem?.message).toMatch(/ENOENT/);
  });

  it('end with the signal', async () => {
    const within = mkdtempSync(join(folder, 'scan-'));
    for (let i = 0; i < 100; i++) writeFileSync(join(within, `${i}.pkl`), pickle(EVIL));
    const controller = new AbortController();
    const scan = scanCheckpoint(within, { signal: controller.signal });
    controller.abort(new Error('enough'));
    expect(await thrownBy(() => scan)).toMatchObject({ message: 'enough' });
  });
});

describe('scans of malformed zip files', () => {
  it('look at bytes once that many headers lead to, and keep so many calls', {
    timeout: 60_000,
  }, async () => {
    const calls = Buffer.from(`cfoo\nbar\nq\0${')R0h\0'.repeat(200_000)}.`, 'latin1');
    const packed = deflateRawSync(calls);
    const headers = Array.from({ length: 256 }, (_, i) => {
      const header = Buffer.alloc(30);
      header.write('PK\x03\x04', 'latin1');
      header.writeUInt16LE(8, 8);
      header.writeUInt16LE((255 - i) * 30, 28);
      return header;
    });
    const { verdict, problem } = await scanned(Buffer.concat([...headers, packed]));
    expect(verdict).toBe('unknown');
    expect(problem).toMatchObject({ code: 'ERR_SAFETENSORS_CHECKPOINT_LIMIT' });
  });
});
