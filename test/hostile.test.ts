// Attacks on readers. Most are tested where the part that they are meant for is: the table in
// SECURITY.md says where, and this file holds it against the list below, and tests the rest.
import {
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  HOSTILE_FILES,
  type HostileFile,
  spoil,
  writeHostileFile,
} from '../benchmarks/files/hostile.ts';
import {
  type Container,
  deserialize,
  openModel,
  safeOpen,
  safeOpenSync,
  saveFile,
  serialize,
} from '../src/index.ts';
import { growthBound } from './support/bounds.ts';
import { buildFile, patternBytes, rawFile } from './support/build.ts';
import { childReport } from './support/child.ts';
import { runCli } from './support/cli.ts';
import { thrownBy } from './support/errors.ts';
import { indexOf, shardName, u8, writeModel } from './support/models.ts';
import { rounds } from './support/rounds.ts';
import { fileMaker, temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const makeFile = fileMaker();

/** What is known to have been tried on readers of this format, or of others like it. */
const ATTACKS = [
  'header length past the file',
  'header length that overflows',
  'header over the limit',
  'many overlapping entries',
  'shape product that wraps to 0',
  'shape product that wraps to the size',
  'unknown dtype',
  'offsets past the end',
  'offsets that wrap',
  'trailing bytes (polyglot file)',
  'holes (polyglot file)',
  'duplicate keys',
  'duplicate keys through an escape',
  'shape of millions of elements',
  'ignored field of millions of elements',
  'millions of entries, keys or spaces',
  'deep nesting',
  'text that is not UTF-8',
  'lone surrogates',
  'shape of 10,000 dimensions',
  'names of prototype members',
  'terminal escape sequences in names',
  'index with paths that lead elsewhere',
  'index that is large',
  'tensor that the index does not allow',
  'shard replaced between check and use',
  'shard replaced while it is opened',
  'file that grows while it is opened',
  'file rewritten while it is opened',
  'FIFO, socket or device',
  'circle of links',
  'another format under this name',
];

const root = new URL('../', import.meta.url);

/** Rows of the table: an attack, what happens, and the test as `file`: title. */
function tableOfAttacks() {
  const text = readFileSync(new URL('SECURITY.md', root), 'utf8');
  const rows = text.matchAll(/^\| ([^|]+) \| ([^|]+) \| `([\w./-]+)`: ([^|]+) \|$/gm);
  return Array.from(rows, ([, attack, outcome, file, title]) => ({ attack, outcome, file, title }));
}

describe('the table of attacks in SECURITY.md', () => {
  it('has every attack', () => {
    expect(tableOfAttacks().map(({ attack }) => attack)).toEqual(ATTACKS);
  });

  it.each(tableOfAttacks())('$attack: $file has that test', ({ outcome, file, title }) => {
    const text = readFileSync(new URL(file, root), 'utf8');
    if (file.endsWith('.json')) {
      const cases: { name: string; expect: { codes?: string[] } }[] = JSON.parse(text);
      const codes = cases.find(({ name }) => name === title)?.expect.codes;
      expect(codes).toContain(`ERR_SAFETENSORS_${/^`(\w+)`/.exec(outcome)?.[1]}`);
    } else {
      const strings = Array.from(
        text.matchAll(/(['"`])((?:(?!\1).)+)\1/g),
        ([, , string]) => string,
      );
      expect(strings).toContain(title);
    }
  });
});

describe('a header of 100 MB is bounded in time and memory', () => {
  const HEADER_BYTES = 100_000_000;
  const OVERLAPPING = 1_500_000;
  const overlapping: HostileFile = {
    id: 'overlapping',
    name: 'as many overlapping entries as fit',
    inTarget: false,
    dataLength: 8,
    header: () => {
      const entry = (i: number) =>
        `"${i.toString(36)}":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}`;
      return Buffer.from(`{${Array.from({ length: OVERLAPPING }, (_, i) => entry(i)).join(',')}}`);
    },
  };

  async function expectBounded(path: string, verdict: string): Promise<void> {
    const { code, time, memory } = await childReport<{
      code: string;
      time: number;
      memory: number;
    }>('open-cost', [path], { nodeFlags: ['--max-old-space-size=128'] });
    expect(code.replace('ERR_SAFETENSORS_', '')).toBe(verdict);
    expect(time).toBeLessThan(30_000);
    expect(memory).toBeLessThan(growthBound(6 * HEADER_BYTES));
  }

  const files = HOSTILE_FILES.slice(0, Math.max(2, rounds(HOSTILE_FILES.length)));
  it.each(files.map((file) => [file.name, file] as const))('%s', async (_, file) => {
    const path = join(folder, 'hostile.safetensors');
    const headerBytes = writeHostileFile(path, file);
    await expectBounded(path, file.refusedWith ?? 'opened');
    spoil(path, headerBytes);
    await expectBounded(path, 'HEADER_JSON');
  });

  it('as many overlapping entries as fit', async () => {
    const path = join(folder, 'hostile.safetensors');
    writeHostileFile(path, overlapping);
    await expectBounded(path, 'INVALID_OFFSET');
  });

  it('of more, nothing is read', async () => {
    const path = join(folder, 'hostile.safetensors');
    writeFileSync(path, rawFile('{', new Uint8Array(0), 550_000_000n));
    truncateSync(path, 600_000_000);
    await expectBounded(path, 'HEADER_TOO_LARGE');
  });
});

describe('a shape of 10,000 dimensions', () => {
  const shape = new Array(10_000).fill(1);
  const bytes = buildFile([{ name: 'deep', dtype: 'F32', shape, data: patternBytes(4, 3) }]);

  it('is used as any other', async () => {
    const path = makeFile(bytes);
    using file = safeOpenSync(path);
    const tensor = file.getTensor('deep');
    expect(tensor.shape).toEqual(shape);
    expect(tensor.size).toBe(1);
    expect(tensor.slice('...').shape).toEqual(shape);
    expect(tensor.slice('...', 0).shape).toHaveLength(9_999);
    expect(tensor.slice(...shape.map(() => 0)).shape).toEqual([]);
    expect(tensor.slice(...shape.map((): [number, null, number] => [0, null, -1])).shape).toEqual(
      shape,
    );
    expect((await tensor.toFloat32Async()).length).toBe(1);
    const saved = `${path}.saved`;
    await saveFile(file, saved);
    using again = await safeOpen(saved);
    expect(again.info('deep').shape).toEqual(shape);
  });

  it('is shown by the command line, and refused with a short message', async () => {
    const path = makeFile(bytes);
    const { code, stdout } = await runCli(['inspect', path]);
    expect(code).toBe(0);
    expect(stdout).toContain('deep');
    const wrong = makeFile(
      buildFile([{ name: 'deep', dtype: 'F64', shape, data: patternBytes(4) }]),
    );
    const refused = await runCli(['verify', wrong]);
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain('SIZE_MISMATCH');
    expect(refused.stdout.length + refused.stderr.length).toBeLessThan(1000);
  });
});

describe('names of prototype members', () => {
  const members = [
    ...Object.getOwnPropertyNames(Object.prototype),
    ...['prototype', 'then', 'length', 'size', 'get', 'toJSON', 'Symbol(Symbol.iterator)'],
  ];
  const tensors = members.map((name, i) => u8(name, i));
  const metadata = Object.fromEntries([
    ['__proto__', 'x'],
    ...members.map((key) => [key, `of ${key}`]),
  ]);
  const before = Object.getOwnPropertyNames(Object.prototype);

  function expectAllServed(container: Container): void {
    expect(container.keys()).toEqual(members);
    for (const [i, name] of members.entries()) {
      expect(container.has(name)).toBe(true);
      expect([...container.getTensor(name).bytes]).toEqual([i]);
    }
    expect(Object.getPrototypeOf(container.metadata)).toBe(null);
    for (const key of members) expect(container.metadata[key]).toBe(`of ${key}`);
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(before);
    expect(({} as Record<string, unknown>).x).toBe(undefined);
  }

  it('are names like others, and are not there where the file has none', async () => {
    const json = `{${members.map((key) => `${JSON.stringify(key)}:${JSON.stringify(`of ${key}`)}`).join(',')}}`;
    const entries = members.map(
      (name, i) =>
        `${JSON.stringify(name)}:{"dtype":"U8","shape":[1],"data_offsets":[${i},${i + 1}]}`,
    );
    const bytes = rawFile(
      `{"__metadata__":${json},${entries.join(',')}}`,
      Buffer.concat(tensors.map(({ data }) => data)),
    );
    expectAllServed(deserialize(bytes));
    using file = await safeOpen(makeFile(bytes));
    expectAllServed(file);
    const empty = deserialize(rawFile('{}'));
    for (const name of members) {
      expect(empty.has(name)).toBe(false);
      expect(empty.metadata[name]).toBe(undefined);
      expect((await thrownBy(() => empty.getTensor(name))).code).toMatch(/TENSOR_NOT_FOUND$/);
    }
  });

  it('are written and served from shards', async () => {
    const place = writeModel(join(folder, 'members'), {
      shards: { [shardName(1, 1)]: tensors },
      index: indexOf(members.map((name) => [name, shardName(1, 1)])),
    });
    using model = await openModel(place);
    for (const [i, name] of members.entries()) {
      expect([...model.getTensor(name).bytes]).toEqual([i]);
    }
    expect(model.has('isPrototypeof')).toBe(false);
    const written = deserialize(serialize(new Map([...model]), { metadata }));
    expect(written.keys().toSorted()).toEqual(members.toSorted());
  });
});

describe('a shard that is replaced', () => {
  it('between check and use: what was checked is used, and check() tells', async () => {
    const place = writeModel(join(folder, 'swapped'), {
      shards: { [shardName(1, 2)]: [u8('a', 1, 2, 3)], [shardName(2, 2)]: [u8('b', 4, 5)] },
    });
    using model = await openModel(place);
    const other = join(place, 'other');
    writeFileSync(other, 'x');
    renameSync(other, join(place, shardName(1, 2)));
    expect([...model.getTensor('a').bytes]).toEqual([1, 2, 3]);
    expect((await thrownBy(() => model.check())).code).toBe('ERR_SAFETENSORS_FILE_CHANGED');
  });

  it('by a circle of links is ELOOP', async () => {
    const place = join(folder, 'circle');
    mkdirSync(place);
    symlinkSync(shardName(1, 2), join(place, shardName(2, 2)));
    symlinkSync(shardName(2, 2), join(place, shardName(1, 2)));
    writeModel(place, { shards: {}, index: indexOf([['a', shardName(1, 2)]]) });
    expect(await thrownBy(() => openModel(place))).toMatchObject({ code: 'ELOOP' });
  });
});

describe('a file that changes while it is opened', () => {
  const ROUNDS = rounds(3000);
  it.each(['replaced', 'grows', 'rewritten'])(
    '%s',
    async (way) => {
      const place = join(folder, `changing-${way}`);
      mkdirSync(place);
      const counts = await childReport<Record<string, number>>(
        'open-while-changing',
        [way, place, `${ROUNDS}`],
        { timeoutMs: 120_000 },
      );
      const codes = Object.keys(counts);
      expect(Object.values(counts).reduce((a, b) => a + b)).toBeGreaterThan(ROUNDS / 100);
      for (const code of codes) expect(code).toMatch(/^(opened( whole)?|ERR_SAFETENSORS_[A-Z_]+)$/);
      expect(counts['opened whole']).toBeGreaterThan(0);
      if (way === 'replaced') expect(codes).not.toContain('opened');
      else expect(codes.length).toBeGreaterThan(1);
    },
    120_000,
  );
});
