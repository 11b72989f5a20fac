import { describe, expect, it } from 'vitest';
import { shardFileNames, shardSizeBytes, splitIntoShards } from '../src/model/shards.ts';
import { thrownBy } from './support/errors.ts';

describe('sizes of shards', () => {
  it.each([
    ['5GB', 5e9],
    ['1KB', 1000],
    ['2tb', 2e12],
    [' 1.5 MB ', 1_500_000],
    ['.5kb', 500],
    ['1.KB', 1000],
    ['1e3KB', 1e6],
    ['0.0019KB', 1],
    [7, 7],
  ])('%j', (size, bytes) => {
    expect(shardSizeBytes(size)).toBe(bytes);
  });

  it.each([[null], [{}], [true], [5n]])('%s is none: TypeError', async (size) => {
    const error = await thrownBy(() => shardSizeBytes(size as unknown as string));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain('maxShardSize: expected bytes, or text like');
  });

  it.each([['5'], ['GB'], ['5 G'], ['5GiB'], ['-5GB'], ['5 000KB'], ['']])(
    '%j is no size: RangeError',
    async (size) => {
      const error = await thrownBy(() => shardSizeBytes(size));
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toContain('maxShardSize: expected bytes, or text like');
    },
  );

  it.each([
    ['0GB'],
    ['0.0001KB'],
    ['9999999TB'],
    ['1e999TB'],
    [0],
    [-1],
    [1.5],
    [Number.NaN],
    [Infinity],
    [2 ** 53],
  ])('%j is out of range', async (size) => {
    expect(await thrownBy(() => shardSizeBytes(size))).toBeInstanceOf(RangeError);
  });
});

describe('splitting', () => {
  const split = (sizes: number[], max: number) =>
    splitIntoShards(
      sizes.map((byteLength) => ({ byteLength })),
      max,
    ).map((shard) => shard.map(({ byteLength }) => byteLength));

  it('is greedy', () => {
    expect(split([6, 6, 2, 6, 2, 2], 10)).toEqual([[6], [6, 2], [6, 2, 2]]);
  });

  it('gives a large tensor a shard, and goes on with the one before', () => {
    expect(split([3, 11, 3, 12, 5, 1], 8)).toEqual([[11], [12], [3, 3], [5, 1]]);
  });

  it('gives one shard of nothing', () => {
    expect(split([], 10)).toEqual([[]]);
    expect(split([0, 0], 10)).toEqual([[0, 0]]);
  });
});

describe('names', () => {
  it('are those of the convention', () => {
    expect(shardFileNames(1)).toEqual(['model.safetensors']);
    expect(shardFileNames(2)).toEqual([
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ]);
    expect(shardFileNames(99_999).at(-1)).toBe('model-99999-of-99999.safetensors');
  });

  it('have five digits', async () => {
    expect(await thrownBy(() => shardFileNames(100_000))).toBeInstanceOf(RangeError);
  });
});
