import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { SaveResult } from '../drivers/results.ts';
import { assertSameWork, type Child, measure, seriesOf, unlessMissing } from '../harness/child.ts';
import { atMost, type Comparison, compare, never, type Series } from '../harness/compare.ts';
import { assertSpace } from '../harness/disk.ts';
import { nodeDriver } from '../harness/drivers.ts';
import { interleave } from '../harness/interleave.ts';
import type { Setting, Trial } from '../harness/trial.ts';
import { BLOCK_BYTES } from '../models/blocks.ts';

/** 2 GB, as the targets say; a quarter of it for a quick look. */
const BLOCKS = { full: 32, quick: 8, tiny: 1 };
/** As many as DeepSeek-V3 has. */
const TENSORS = { full: 91_985, quick: 20_000, tiny: 1000 };

const OF_THE_DISK = 0.95;
const FASTER_THAN_FSYNCED_REFERENCE = 1.3;
const AS_FAST_AS_REFERENCE = 1;
const MOST_MEMORY_MB = 64;
const LONGEST_DELAY_MS = 20;
/** Some times as long as saving many small tensors takes: what is rare is to be seen. */
const IDLE_MS = { full: 2500, quick: 600, tiny: 20 };

const OURS = nodeDriver('save', 'safetensors-mmap');
const IDLE = 'a process that does nothing';

/** An event loop that has nothing to do is late as well, where others have the cores. */
function idle({ quick, tiny }: Setting): () => Promise<SaveResult> {
  const duration = tiny ? IDLE_MS.tiny : quick ? IDLE_MS.quick : IDLE_MS.full;
  return () => measure<SaveResult>(OURS, 'idle', duration);
}

const delaysOf = (results: readonly SaveResult[]) =>
  results.map(({ longestDelay = Number.NaN }) => longestDelay);

/** Memory and delay must never be over their limits: the worst round is held against them. */
function costs(
  id: string,
  what: string,
  results: readonly SaveResult[],
  idling: Series,
): Comparison[] {
  return [
    never(
      { id: `${id}-memory`, what: `${what}: memory of the process's own, at the peak`, unit: 'MB' },
      results.map(({ memory = Number.NaN }) => memory / 1e6),
      MOST_MEMORY_MB,
    ),
    never(
      { id: `${id}-delay`, what: `${what}: longest delay of the event loop`, unit: 'ms' },
      delaysOf(results),
      LONGEST_DELAY_MS,
      idling,
    ),
  ];
}

/** From memory and from a file that is open; every file that is written is the same. */
async function large(setting: Setting): Promise<Comparison[]> {
  const { folder, quick, tiny, reference, rounds } = setting;
  const blocks = tiny ? BLOCKS.tiny : quick ? BLOCKS.quick : BLOCKS.full;
  assertSpace(folder, 2 * blocks * BLOCK_BYTES);
  const [path, source] = ['saved', 'source'].map((name) => join(folder, `${name}.safetensors`));
  const size = `${((blocks * BLOCK_BYTES) / 1e9).toFixed(1)} GB`;
  setting.progress(`saving ${size}`);
  await measure(OURS, 'write', source, blocks);
  const task = (child: Child, name: string, ...args: (string | number)[]) =>
    unlessMissing(child, () => measure<SaveResult>(child, name, path, ...args));
  const results = await interleave(
    rounds,
    [
      task(OURS, 'save', blocks, 'durable'),
      task(OURS, 'save', blocks, 'cached'),
      task(OURS, 'copy', source, 'durable'),
      task(OURS, 'dd', blocks),
      task(reference, 'save', blocks, 'durable'),
      task(reference, 'save', blocks, 'cached'),
      idle(setting),
    ],
    quick ? 0 : 2 * blocks * BLOCK_BYTES, // which takes seconds
  );
  rmSync(source);
  assertSameWork(
    'the saved file',
    results.flat().flatMap(({ checksum }) => checksum ?? []),
  );
  const times = results.map((series) => series.map(({ time }) => time));
  const [durable, cached, mapped, disk, fsynced, plain] = times;
  const idling = { name: IDLE, samples: delaysOf(results[6]) };
  const dd = { name: 'dd oflag=direct conv=fsync', samples: disk };
  const theirs = { ...reference, name: `${reference.name}, then fsync` };
  const row = (id: string, what: string) => ({ id, what: `${size}, ${what}`, unit: 'ms' }) as const;
  return [
    compare(row('durable-dd', 'on the disk'), durable, dd, { ratio: 'faster', limit: OF_THE_DISK }),
    compare(row('durable-python', 'on the disk'), durable, seriesOf(theirs, fsynced), {
      ratio: 'faster',
      limit: FASTER_THAN_FSYNCED_REFERENCE,
    }),
    compare(row('cached-python', 'in the page cache'), cached, seriesOf(reference, plain), {
      ratio: 'faster',
      limit: AS_FAST_AS_REFERENCE,
    }),
    compare(row('mapped-dd', 'of a file that is open, on the disk'), mapped, dd, {
      ratio: 'faster',
    }),
    ...costs('large', size, results.slice(0, 2).flat(), idling),
    ...costs('mapped', `${size} of a file that is open`, results[2], idling),
  ];
}

async function many(setting: Setting): Promise<Comparison[]> {
  const { folder, quick, tiny, rounds, progress } = setting;
  const count = tiny ? TENSORS.tiny : quick ? TENSORS.quick : TENSORS.full;
  const what = `${count.toLocaleString('en')} tensors of 4 bytes, in the page cache`;
  progress(`saving ${what}`);
  const path = join(folder, 'many.safetensors');
  const [results, idling] = await interleave(rounds, [
    () => measure<SaveResult>(OURS, 'tensors', path, count, 'cached'),
    idle(setting),
  ]);
  assertSameWork(
    what,
    results.flatMap(({ checksum }) => checksum ?? []),
  );
  return [
    atMost(
      { id: 'many', what, unit: 'ms' },
      results.map(({ time }) => time),
    ),
    ...costs('many', what, results, { name: IDLE, samples: delaysOf(idling) }),
  ];
}

export const save: Trial = {
  name: 'save',
  title: 'Saving a model',
  explains: [
    'Tensors in memory, a new file each time; the files of both packages are compared by SHA-256.',
    'Memory and delay must never be over their limits: the worst round is held against them.',
    'Beside the delay, that of a process that does nothing for a while.',
    'On the disk: with fsync of file and folder; the reference has none, one is added to it.',
  ],
  run: async (setting) => [...(await large(setting)), ...(await many(setting))],
};
