import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { openModel, safeOpenSync, saveModel, type TensorLike } from '../src/index.ts';
import { indexText, shardFileNames, shardSizeBytes, splitIntoShards } from '../src/model/shards.ts';
import { anyText } from './support/arbitraries.ts';
import { patternBytes } from './support/build.ts';
import { readByReference, runPython, runSeed, withoutPython } from './support/python.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const CASES = 500;

interface Case {
  sizes: [name: string, bytes: number][];
  max: string | number;
  metadata: Record<string, string>;
}

interface Split {
  files: Record<string, string[]>;
  sharded: boolean;
  index: string;
}

const anyMax = fc.oneof(
  fc.integer({ min: 1, max: 5000 }),
  fc.constantFrom('1KB', '2kb', ' 1.5 KB', '.25KB ', '0.0015MB', '5GB', '1e0KB', '0.000002TB'),
);

const anyCase: fc.Arbitrary<Case> = fc.record({
  sizes: fc.uniqueArray(
    fc.tuple(anyText, fc.oneof(fc.nat(3000), fc.nat(200), fc.constant(0), fc.nat(2 ** 40))),
    { selector: ([name]) => name, minLength: 1, maxLength: 60 },
  ),
  max: anyMax,
  metadata: fc.dictionary(
    anyText.filter((key) => key !== 'total_size' && !/^\d+$/.test(key)),
    anyText,
    { maxKeys: 3 },
  ),
});

/** Ours, in the same words. */
function ourSplit({ sizes, max, metadata }: Case): Split {
  const tensors = sizes.map(([name, byteLength]) => ({ name, byteLength }));
  const shards = splitIntoShards(tensors, shardSizeBytes(max));
  const names = shardFileNames(shards.length);
  return {
    files: Object.fromEntries(shards.map((shard, i) => [names[i], shard.map(({ name }) => name)])),
    sharded: shards.length > 1,
    index: indexText({
      totalSize: tensors.reduce((sum, { byteLength }) => sum + byteLength, 0),
      metadata: Object.entries(metadata),
      weightMap: shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]] as const)),
    }),
  };
}

describe('against huggingface_hub', () => {
  beforeEach(withoutPython('splitting models as huggingface_hub does'));

  it('models are split alike, and the index is the same byte for byte', () => {
    const seed = runSeed();
    const cases = fc.sample(anyCase, { numRuns: CASES, seed });
    const path = join(folder, 'cases.json');
    writeFileSync(path, JSON.stringify(cases));
    const theirs: Split[] = JSON.parse(runPython('split.py', path));
    expect(theirs.length).toBe(CASES);
    for (const [i, their] of theirs.entries())
      expect(ourSplit(cases[i]), `case ${i}`).toEqual(their);
    expect(theirs.filter(({ sharded }) => sharded).length).toBeGreaterThan(CASES / 4);
    expect(theirs.filter(({ sharded }) => !sharded).length).toBeGreaterThan(CASES / 20);
  });

  it('models that it would write are opened, byte for byte', async () => {
    const models = join(folder, 'theirs');
    mkdirSync(models);
    const manifest: Record<string, { dtype: string; shape: number[]; hex: string }> = JSON.parse(
      runPython('write_model.py', models),
    );
    using model = await openModel(models);
    expect(model.shards.length).toBeGreaterThan(3);
    expect(model.keys()).toEqual(Object.keys(manifest));
    for (const [name, { dtype, shape, hex }] of Object.entries(manifest)) {
      const tensor = model.getTensor(name);
      expect({ dtype: tensor.dtype, shape: tensor.shape }, name).toEqual({ dtype, shape });
      expect(Buffer.from(tensor.bytes).toString('hex'), name).toBe(hex);
    }
    expect({ ...model.metadata }).toEqual({ format: 'pt' });

    // Saved again, the folder is the same: in the same order, with the same limit.
    const ours = join(folder, 'ours');
    await saveModel(model, ours, { maxShardSize: '2KB', metadata: { format: 'pt' }, fsync: false });
    for (const { path } of model.shards) {
      const name = path.slice(models.length + 1);
      expect(readFileSync(join(ours, name)).equals(readFileSync(path)), name).toBe(true);
    }
  });

  it('models that we save are read by the reference', async () => {
    const path = join(folder, 'read');
    const tensors = new Map<string, TensorLike>();
    for (let i = 0; i < 40; i++) {
      const shape = [i % 7, 9];
      tensors.set(`tensor ${i} ä\u{1f600}`, {
        dtype: 'F32',
        shape,
        data: new Uint8Array(patternBytes((i % 7) * 9 * 4, i)),
      });
    }
    const { files, index } = await saveModel(tensors, path, { maxShardSize: '1KB', fsync: false });
    expect(files.length).toBeGreaterThan(3);
    expect(index).toBe('model.safetensors.index.json');
    const weightMap: Record<string, string> = JSON.parse(
      readFileSync(join(path, 'model.safetensors.index.json'), 'utf8'),
    ).weight_map;
    expect(Object.keys(weightMap)).toEqual([...tensors.keys()]);
    type Verdict = { file: string; ok: boolean; tensors?: { name: string }[] };
    const verdicts = readByReference<Verdict>(path);
    for (const file of files) {
      const names = verdicts.find((verdict) => verdict.file === file)?.tensors ?? [];
      const expected = Object.keys(weightMap).filter((name) => weightMap[name] === file);
      expect(names.map(({ name }) => name).sort(), file).toEqual(expected.sort());
    }
    for (const [name, file] of Object.entries(weightMap)) {
      using shard = safeOpenSync(join(path, file));
      const data = tensors.get(name)?.data;
      expect(Buffer.compare(shard.getTensor(name).bytes, data as Uint8Array), name).toBe(0);
    }
  });
});
