import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  ALL_DTYPES,
  buildFile,
  DTYPE_BITS,
  patternBytes,
  type TensorSource,
} from './support/build.ts';
import type { ChildResult } from './support/child.ts';
import { runCli, runCliInShell, runCliInTerminal, whyNoTerminal } from './support/cli.ts';
import { shardName, u8, writeModel } from './support/models.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const makeFile = fileMaker();
const folder = temporaryFolder();

type View = ArrayBufferView;

function tensor(name: string, dtype: string, shape: number[], data: View): TensorSource {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { name, dtype, shape, data: bytes };
}

const f32 = (name: string, ...values: number[]) =>
  tensor(name, 'F32', [values.length], Float32Array.from(values));

function diff(a: string, b: string, ...flags: string[]): Promise<ChildResult> {
  return runCli(['diff', a, b, ...flags]);
}

interface Report {
  same: boolean;
  headersOnly: boolean;
  onlyInA: { name: string }[];
  onlyInB: { name: string }[];
  different: {
    name: string;
    a: { dtype: string; shape: number[]; size: number; byteLength: number };
    b: { dtype: string; shape: number[]; size: number; byteLength: number };
    differing?: number;
    largest?: number | string | null;
    nans?: number;
  }[];
  metadata: { key: string; a: string | null; b: string | null }[];
  tensors: Record<'same' | 'different' | 'onlyInA' | 'onlyInB', number>;
}

async function report(a: string, b: string, ...flags: string[]): Promise<Report> {
  const { code, stdout, stderr } = await diff(a, b, '--json', ...flags);
  const parsed: Report = JSON.parse(stdout);
  expect({ code, stderr }).toEqual({ code: parsed.same ? 0 : 1, stderr: '' });
  return parsed;
}

/** What is said of two tensors of these elements. */
async function differences(dtype: string, shape: number[], a: View, b: View) {
  const [pathOfA, pathOfB] = [a, b].map((data) =>
    makeFile(buildFile([tensor('t', dtype, shape, data)])),
  );
  const { different } = await report(pathOfA, pathOfB);
  const [{ differing, largest, nans } = {}] = different;
  return { differing, largest, nans };
}

describe('diff', () => {
  it('says that a file is the same as itself, and as one in another order', async () => {
    const tensors = [u8('a', 1, 2, 3), f32('b', 1, 2), u8('c')];
    const a = makeFile(buildFile(tensors, { metadata: { k: 'v', l: 'w' } }));
    const b = makeFile(buildFile(tensors.toReversed(), { metadata: { l: 'w', k: 'v' } }));
    for (const other of [a, b]) {
      expect(await diff(a, other)).toMatchObject({
        code: 0,
        stdout: 'the same: 3 tensors\n',
        stderr: '',
      });
    }
    expect((await report(a, b)).tensors).toEqual({ same: 3, different: 0, onlyInA: 0, onlyInB: 0 });
  });

  it('shows names, dtypes, shapes, elements and metadata that differ', async () => {
    const a = makeFile(
      buildFile([f32('w', 1, 2, 3, 4), f32('s', 1, 2), u8('gone', 1), u8('t', 1), u8('eq', 7)], {
        metadata: { format: 'pt', old: '1' },
      }),
    );
    const reshaped = tensor('s', 'F32', [2, 1], Float32Array.from([1, 2]));
    const retyped = tensor('t', 'I8', [1], Uint8Array.of(1));
    const b = makeFile(
      buildFile([f32('w', 1, 2.5, 3, 3.75), reshaped, retyped, u8('new', 1, 2), u8('eq', 7)], {
        metadata: { format: 'np' },
      }),
    );
    const { code, stdout } = await diff(a, b);
    expect(code).toBe(1);
    const shown = stdout.split('\n').map((line) => line.replace(/ {2,}/g, '  '));
    const rule = expect.stringMatching(/^─+$/);
    expect(shown).toEqual([
      `A  ${a}  (5 tensors, ${readFileSync(a).length} B)`,
      `B  ${b}  (5 tensors, ${readFileSync(b).length} B)`,
      '',
      'only in A',
      'name  dtype  shape  bytes',
      rule,
      'gone  U8  1  1 B',
      '',
      'only in B',
      'name  dtype  shape  bytes',
      rule,
      'new  U8  2  2 B',
      '',
      'different',
      'name  dtype  shape  differing  of  largest |A − B|',
      rule,
      'w  F32  4  2  4  0.5',
      's  F32  2 → 2 × 1  none  2',
      't  U8 → I8  1',
      '',
      'metadata',
      'A  format  pt',
      'B  format  np',
      'A  old  1',
      '',
      '1 tensor the same, 3 different, 1 only in A, 1 only in B, 2 metadata keys',
      '',
    ]);
    const { different, metadata, onlyInA, onlyInB } = await report(a, b);
    expect(different).toEqual([
      {
        name: 'w',
        a: { dtype: 'F32', shape: [4], size: 4, byteLength: 16 },
        b: { dtype: 'F32', shape: [4], size: 4, byteLength: 16 },
        differing: 2,
        largest: 0.5,
        nans: 0,
      },
      {
        name: 's',
        a: { dtype: 'F32', shape: [2], size: 2, byteLength: 8 },
        b: { dtype: 'F32', shape: [2, 1], size: 2, byteLength: 8 },
        differing: 0,
        largest: null,
        nans: 0,
      },
      {
        name: 't',
        a: { dtype: 'U8', shape: [1], size: 1, byteLength: 1 },
        b: { dtype: 'I8', shape: [1], size: 1, byteLength: 1 },
      },
    ]);
    expect(metadata).toEqual([
      { key: 'format', a: 'pt', b: 'np' },
      { key: 'old', a: '1', b: null },
    ]);
    expect([onlyInA, onlyInB].map(([{ name }]) => name)).toEqual(['gone', 'new']);
  });

  const reason = whyNoTerminal();
  it.skipIf(reason)('says which file is which on a terminal of any width', async () => {
    const a = makeFile(buildFile([u8('t', 1)]), 'first.safetensors');
    const b = makeFile(buildFile([u8('t', 2)]), 'second.safetensors');
    for (const columns of [16, 20, 30, 40]) {
      const { stdout } = await runCliInTerminal(columns, ['diff', a, b], { NO_COLOR: '1' });
      const lines = stdout.split(/\r?\n/).slice(0, 2);
      expect(lines[0]).toMatch(/^A {2}.*…?.*tensors/);
      expect(lines[1]).toMatch(/^B {2}.*…?.*tensors/);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
    }
  });

  it('leaves the data alone with --headers', async () => {
    const [a, b] = [1, 2].map((value) => makeFile(buildFile([f32('t', value)])));
    expect(await diff(a, b, '--headers')).toMatchObject({
      code: 0,
      stdout: 'the headers are the same: 1 tensor\n',
    });
    expect(await report(a, b, '-H')).toMatchObject({ same: true, headersOnly: true });
    expect((await diff(a, b)).code).toBe(1);
  });

  it('compares models of one file and of many', async () => {
    const tensors = [f32('a', 1, 2), f32('b', 3), u8('c', 4)];
    const single = makeFile(buildFile(tensors));
    const model = writeModel(join(folder, 'model'), {
      shards: { [shardName(1, 2)]: [tensors[2], tensors[0]], [shardName(2, 2)]: [tensors[1]] },
    });
    expect((await diff(single, model)).stdout).toBe('the same: 3 tensors\n');
    const other = writeModel(join(folder, 'other'), {
      shards: { [shardName(1, 2)]: [tensors[0]], [shardName(2, 2)]: [f32('b', 5), tensors[2]] },
    });
    const index = join(other, 'model.safetensors.index.json');
    expect((await report(model, index)).different).toMatchObject([{ name: 'b', largest: 2 }]);
  });
});

describe('elements of', () => {
  it.each(ALL_DTYPES)('%s that differ in one bit are found, wherever they are', async (dtype) => {
    // More than a piece of 3 MiB, and no multiple of anything but what the dtype wants.
    const bytes = 3 * 2 ** 20 + 24 * 8;
    const size = (bytes * 8) / DTYPE_BITS[dtype];
    const a = patternBytes(bytes);
    const places = [0, 3 * 2 ** 14 - 1, 3 * 2 ** 14, 3 * 2 ** 20 - 1, 3 * 2 ** 20, bytes - 1];
    const b = a.slice();
    for (const place of places) b[place] ^= 1;
    // Misaligned in one file.
    const [pathOfA, pathOfB] = [
      makeFile(buildFile([u8('odd', 1), tensor('t', dtype, [size], a)])),
      makeFile(buildFile([tensor('t', dtype, [size], b), u8('odd', 1)])),
    ];
    const { different, tensors } = await report(pathOfA, pathOfB);
    expect(different).toMatchObject([{ name: 't', differing: places.length }]);
    expect(tensors).toMatchObject({ same: 1, different: 1 });
  });

  it.each([
    ['U8', Uint8Array.of(0, 7), Uint8Array.of(255, 7), 255],
    ['I8', Int8Array.of(-128, 7), Int8Array.of(127, 7), 255],
    ['I16', Int16Array.of(-2, 7), Int16Array.of(2, 7), 4],
    ['U16', Uint16Array.of(65535, 7), Uint16Array.of(0, 7), 65535],
    ['I32', Int32Array.of(-(2 ** 31), 7), Int32Array.of(2 ** 31 - 1, 7), 2 ** 32 - 1],
    ['U32', Uint32Array.of(1, 7), Uint32Array.of(3, 7), 2],
    ['I64', BigInt64Array.of(-5n, 7n), BigInt64Array.of(5n, 7n), 10],
    ['U64', BigUint64Array.of(2n ** 64n - 1n, 7n), BigUint64Array.of(0n, 7n), 2 ** 64],
    ['F32', Float32Array.of(1.5, 7), Float32Array.of(-1.5, 7), 3],
    ['F64', Float64Array.of(0.1, 7), Float64Array.of(0.3, 7), Math.abs(0.1 - 0.3)],
    ['BF16', Uint16Array.of(0x3f80, 7), Uint16Array.of(0xc000, 7), 3],
    ['F16', Uint16Array.of(0x3c00, 7), Uint16Array.of(0x7bff, 7), 65503],
    ['F8_E4M3', Uint8Array.of(0x38, 7), Uint8Array.of(0x7e, 7), 447],
    ['F8_E5M2', Uint8Array.of(0x3c, 7), Uint8Array.of(0x7b, 7), 57343],
    ['F8_E4M3FNUZ', Uint8Array.of(0x40, 7), Uint8Array.of(0x7f, 7), 239],
    ['F8_E5M2FNUZ', Uint8Array.of(0x40, 7), Uint8Array.of(0xff, 7), 57345],
    ['F8_E8M0', Uint8Array.of(127, 7), Uint8Array.of(130, 7), 7],
  ])('%s are told apart as numbers', async (dtype, a, b, largest) => {
    const found = await differences(dtype, [2], a, b);
    expect(found).toEqual({ differing: 1, largest, nans: 0 });
  });

  it('C64 are told apart as complex numbers', async () => {
    const found = await differences(
      'C64',
      [2],
      Float32Array.of(1, 1, 3, 4),
      Float32Array.of(1, 1, 0, 0),
    );
    expect(found).toEqual({ differing: 1, largest: 5, nans: 0 });
  });

  it('F4 and F6 are told apart where they are packed', async () => {
    // 0.5 and 6 in the low half, equal ones in the high half.
    const f4 = await differences('F4', [2], Uint8Array.of(0x31), Uint8Array.of(0x37));
    expect(f4).toEqual({ differing: 1, largest: 5.5, nans: 0 });
    // The third of four elements: bits 12 to 17. From 0 to 28, the largest of E3M2.
    const f6 = await differences('F6_E3M2', [4], new Uint8Array(3), Uint8Array.of(0, 0xf0, 1));
    expect(f6).toEqual({ differing: 1, largest: 28, nans: 0 });
  });

  it('BOOL have no distance', async () => {
    const found = await differences('BOOL', [2], Uint8Array.of(0, 1), Uint8Array.of(1, 1));
    expect(found).toEqual({ differing: 1, largest: null, nans: 0 });
  });

  it('floats may be NaN, infinite, or zeros of two signs', async () => {
    const { NaN: none, POSITIVE_INFINITY: infinity } = Number;
    const a = Float32Array.of(1, none, none, infinity, 0, 5);
    const b = Float32Array.of(none, 2, none, infinity, -0, 5);
    expect(await differences('F32', [6], a, b)).toEqual({ differing: 3, largest: 0, nans: 2 });
    const c = Float32Array.of(1, none, none, -infinity, 0, 5);
    const found = await differences('F32', [6], a, c);
    expect(found).toEqual({ differing: 1, largest: 'Infinity', nans: 0 });
    const [pathOfA, pathOfC] = [a, c].map((data) =>
      makeFile(buildFile([tensor('t', 'F32', [6], data)])),
    );
    expect((await diff(pathOfA, pathOfC)).stdout).toMatch(/\nt +F32 +6 +1 +6 +Infinity\n/);
  });

  it('none at all are the same', async () => {
    const empty = tensor('t', 'F6_E2M3', [0, 5], new Uint8Array(0));
    const [a, b] = [0, 1].map(() => makeFile(buildFile([empty])));
    expect((await diff(a, b)).code).toBe(0);
  });
});

describe('diff in trouble', () => {
  const good = makeFile(buildFile([u8('t', 1)]));
  const missing = `${good}-missing`;
  const broken = makeFile(buildFile([u8('t', 1)]).subarray(0, -1), 'broken.safetensors');

  it.each([
    [good, missing, `error: ENOENT ${missing}: no such file or directory\n`],
    [missing, good, `error: ENOENT ${missing}: no such file or directory\n`],
    [good, broken, `error: ERR_SAFETENSORS_TRUNCATED ${broken}: `],
  ])('ends with 2 (%#)', async (a, b, message) => {
    const { code, stdout, stderr } = await diff(a, b);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr.startsWith(message), stderr).toBe(true);
    expect(stderr.match(/\n/g)).toHaveLength(1);
  });

  it('ends with 2 for wrong usage', async () => {
    expect((await runCli(['diff', good])).code).toBe(2);
    expect((await runCli(['diff', good, good, good])).code).toBe(2);
  });

  it.skipIf(!existsSync('/dev/full'))('ends with 2 where nobody can be told', async () => {
    const { code, stderr } = await runCliInShell('"$@" >/dev/full', ['diff', good, good]);
    expect({ code, stderr: stderr.slice(0, 30) }).toEqual({
      code: 2,
      stderr: 'error: standard output: ENOSPC',
    });
  });

  it('tells of a shard by its own path', async () => {
    const model = writeModel(join(folder, 'bad'), {
      shards: { [shardName(1, 2)]: [u8('a', 1)], [shardName(2, 2)]: [u8('b', 1)] },
    });
    const shard = join(model, shardName(2, 2));
    writeFileSync(shard, 'short');
    const { code, stderr } = await diff(good, model);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: ERR_SAFETENSORS_HEADER_TOO_SMALL /);
    expect(stderr.split(shard)).toHaveLength(2);
  });
});

it('of 92,000 tensors takes little time, and finds the one that differs', async () => {
  const many = (different: number) =>
    Array.from({ length: 92_000 }, (_, i) => u8(`layers.${i}.weight`, i & 255, +(i === different)));
  const a = makeFile(buildFile(many(-1)));
  const b = makeFile(buildFile(many(91_000).toReversed()));
  const started = performance.now();
  expect((await report(a, b)).different.map(({ name }) => name)).toEqual(['layers.91000.weight']);
  expect(performance.now() - started).toBeLessThan(60_000);
}, 120_000);
