import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { machine } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openModel, safeOpenSync } from '../src/index.ts';
import type { Holdings } from './children/support/process.ts';
import { anyModel, compactHeader, fileOf, looseHeader } from './support/arbitraries.ts';
import { childCommand, childReport, runCommand } from './support/child.ts';
import { thrownBy } from './support/errors.ts';
import { expectNoLeak } from './support/leaks.ts';
import { INDEX, indexOf, shardName, u8, writeModel } from './support/models.ts';
import { rounds } from './support/rounds.ts';
import { temporaryFolder } from './support/temporary.ts';

const MEGABYTE = 2 ** 20;

const root = temporaryFolder();
let folders = 0;
const newFolder = () => join(root, `model-${folders++}`);

function manyShards(count: number): string {
  const shards = Object.fromEntries(
    Array.from({ length: count }, (_, i) => [shardName(i + 1, count), [u8(`t${i}`, 1, i & 255)]]),
  );
  return writeModel(newFolder(), { shards });
}

describe('any shards in any header are served as each alone', () => {
  it.each([1, 2, 3, 4])('seed %i', async (seed) => {
    const models = fc.sample(fc.tuple(anyModel, fc.nat()), { numRuns: 40, seed });
    const folder = newFolder();
    mkdirSync(folder);
    const expected = new Map<string, { file: string; index: number }>();
    for (const [i, [model, choice]] of models.entries()) {
      const file = shardName(i + 1, models.length);
      const header = choice % 2 === 0 ? compactHeader(model) : looseHeader(model, choice);
      writeFileSync(join(folder, file), fileOf(model, header));
      // Of a name that several shards have, one is served.
      for (const { name } of model.tensors) expected.set(name, { file, index: choice });
    }
    const map = [...expected].sort(([, a], [, b]) => a.index - b.index);
    writeFileSync(join(folder, INDEX), indexOf(map.map(([name, { file }]) => [name, file])));
    using opened = await openModel(folder);
    expect(opened.keys()).toEqual(map.map(([name]) => name));
    for (const [name, { file }] of map) {
      using shard = safeOpenSync(join(folder, file));
      expect(opened.info(name), name).toEqual(shard.info(name));
      expect(opened.shardOf(name).path).toBe(join(folder, file));
      expect(Buffer.compare(opened.getTensor(name).bytes, shard.getTensor(name).bytes)).toBe(0);
    }
    const data = opened.offsetKeys().map((name) => opened.shardOf(name).path);
    expect(data).toEqual(data.toSorted());
  });
});

describe('a hostile index is bounded in time and memory', () => {
  const SIZE = 100_000_000;

  /** An index of SIZE bytes of entries. */
  function bigIndex(entry: (i: number) => string): Buffer {
    const bytes = Buffer.alloc(SIZE, ' ');
    let end = bytes.write('{"weight_map":{');
    for (let i = 0; ; i++) {
      const text = entry(i);
      if (end + text.length + 2 > SIZE) break;
      end += bytes.write(text, end, 'latin1');
    }
    bytes.write('}}', end - 1);
    return bytes;
  }

  const cases: [string, () => Buffer, string][] = [
    [
      'millions of short names',
      () => bigIndex((i) => `"${i.toString(36)}":"a.safetensors",`),
      'INDEX_MISMATCH',
    ],
    ['one name millions of times', () => bigIndex(() => '"":"a.safetensors",'), 'DUPLICATE_KEY'],
    ['values that are no shards', () => bigIndex((i) => `"${i}":"",`), 'SHARD_PATH'],
    ['millions of shards', () => bigIndex((i) => `"${i}":"${i}.safetensors",`), 'HEADER_TOO_LARGE'],
    [
      'one long name',
      () => bigIndex(() => `"${'x'.repeat(SIZE - 50)}":"a.safetensors",`),
      'INDEX_MISMATCH',
    ],
    [
      'white space',
      () => bigIndex((i) => (i === 0 ? '"a":"a.safetensors",' : '\n'.repeat(SIZE))),
      'opened',
    ],
  ];
  it.each(cases)('%s', async (_, index, verdict) => {
    const folder = writeModel(newFolder(), {
      shards: { 'a.safetensors': [u8('a', 1)] },
      index: index(),
    });
    const { code, time, memory } = await childReport<{
      code: string;
      time: number;
      memory: number;
    }>('model-cost', [folder]);
    expect(code.replace('ERR_SAFETENSORS_', '')).toBe(verdict);
    expect(time).toBeLessThan(30_000);
    // The text, where its names lie, and the hash table: 16 bytes a slot, two slots an entry.
    expect(memory).toBeLessThan(6 * SIZE);
  });

  it('of more bytes than the limit is not read', async () => {
    const folder = writeModel(newFolder(), {
      shards: { 'a.safetensors': [u8('a', 1)] },
      index: Buffer.alloc(SIZE + 1, ' '),
    });
    const error = await thrownBy(() => openModel(folder));
    expect(error).toMatchObject({ code: 'ERR_SAFETENSORS_HEADER_TOO_LARGE' });
  });
});

describe('descriptors', () => {
  const script = new URL('../out/test/children/model-rounds.js', import.meta.url).pathname;
  const limited = (limit: number, ...args: string[]) =>
    runCommand('bash', ['-c', `ulimit -n ${limit}; exec "$@"`, 'bash', process.execPath, ...args]);

  it('are few, however many shards there are', async () => {
    const folder = manyShards(1000);
    const { code, stdout, stderr } = await limited(80, '--expose-gc', script, 'close', folder, '2');
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout).at(-1).mappings).toBe(0);
  });

  it('that are not to be had are EMFILE, and nothing stays open', async () => {
    const { code, stdout, stderr } = await limited(100, script, 'descriptors', manyShards(30));
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ code: 'EMFILE', size: 30 });
  });
});

/** Child processes, because a mistake here is a crash or a leak. */
describe('memory', () => {
  const ways: [string, number][] = [
    ['close', 400],
    ['drop', 400],
    ['fail', 400],
    ['terminate', 40],
  ];
  it.each(ways)(
    'rounds of opening leak nothing: %s',
    async (mode, count) => {
      const folder = manyShards(40);
      if (mode === 'fail') {
        const path = join(folder, shardName(33, 40));
        writeFileSync(path, readFileSync(path).subarray(0, -1));
      }
      const held = await childReport<Holdings[]>(
        'model-rounds',
        [mode, folder, String(rounds(count))],
        { nodeFlags: ['--expose-gc'], timeoutMs: 120_000 },
      );
      expectNoLeak(held, 0, 8 * MEGABYTE);
    },
    120_000,
  );
});

it.runIf(process.platform === 'linux')(
  'shards are moved into their range on older systems',
  async () => {
    const folder = manyShards(3);
    const [command, args] = childCommand('list-tensors', [folder], []);
    const older = ['--uname-2.6', command, ...args];
    const { code, stdout, stderr } = await runCommand('setarch', [machine(), ...older]);
    expect(code, stderr).toBe(0);
    using model = await openModel(folder);
    const tensors = model
      .keys()
      .map((name) => [name, model.info(name), model.getTensor(name).bytes[0]]);
    expect(JSON.parse(stdout)).toMatchObject({
      release: expect.stringMatching(/^2\.6\./),
      tensors,
    });
  },
);
