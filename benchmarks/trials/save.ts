import { statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { SaveResult } from '../drivers/results.ts';
import { assertSameWork, type Child, interleave, measure } from '../harness/child.ts';
import { atMost, type Comparison, compare, notMeasured } from '../harness/compare.ts';
import { nodeDriver } from '../harness/drivers.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';
import { BLOCK_BYTES } from '../models/blocks.ts';

/** 2 GB, as the targets say; a quarter of it for a quick look. */
const BLOCKS = { full: 32, quick: 8, tiny: 1 };
const ROUNDS = 5;

const OF_THE_DISK = 0.95;
const FASTER_THAN_FSYNCED_REFERENCE = 1.3;
const AS_FAST_AS_REFERENCE = 1;
const MOST_MEMORY_MB = 64;
const LONGEST_DELAY_MS = 20;

type Task = [child: Child, task: string, mode?: 'durable' | 'cached'];

async function run(setting: Setting): Promise<Comparison[]> {
  const { folder, quick, tiny, reference } = setting;
  const blocks = tiny ? BLOCKS.tiny : quick ? BLOCKS.quick : BLOCKS.full;
  const free = statfsSync(folder);
  if (free.bavail * free.bsize < 2 * blocks * BLOCK_BYTES) {
    throw new NotMeasured(`${folder} has less free than twice what is saved`);
  }
  const ours = nodeDriver('save', 'safetensors-mmap');
  const tasks: Task[] = [
    [ours, 'save', 'durable'],
    [ours, 'save', 'cached'],
    [ours, 'dd'],
  ];
  if (!(reference instanceof NotMeasured)) {
    tasks.push([reference, 'save', 'durable'], [reference, 'save', 'cached']);
  }
  const path = join(folder, 'saved.safetensors');
  const size = `${((blocks * BLOCK_BYTES) / 1e9).toFixed(1)} GB`;
  setting.progress(`saving ${size}`);
  const results = await interleave(
    Math.min(ROUNDS, setting.rounds),
    tasks.map(
      ([child, task, mode = '']) =>
        () =>
          measure<SaveResult>(child, task, path, blocks, mode),
    ),
  );
  assertSameWork(
    'the saved file',
    results.flat().flatMap(({ checksum }) => checksum ?? []),
  );
  const times = results.map((rounds) => rounds.map(({ time }) => time));
  const [durable, cached, disk, fsynced, plain] = times;
  const own = results.slice(0, 2).flat();
  return [
    compare(
      `${size}, on the disk`,
      'ms',
      durable,
      { name: 'dd oflag=direct conv=fsync', samples: disk },
      { ratio: 'faster', limit: OF_THE_DISK },
    ),
    ...(reference instanceof NotMeasured
      ? [notMeasured(`${size}, against the reference`, '≥ 1.3× and ≥ 1× faster', reference.message)]
      : [
          compare(
            `${size}, on the disk`,
            'ms',
            durable,
            { name: `${reference.name}, then fsync`, samples: fsynced },
            { ratio: 'faster', limit: FASTER_THAN_FSYNCED_REFERENCE },
          ),
          compare(
            `${size}, in the page cache`,
            'ms',
            cached,
            { name: reference.name, samples: plain },
            { ratio: 'faster', limit: AS_FAST_AS_REFERENCE },
          ),
        ]),
    atMost(
      `${size}: memory of the process's own, at the peak`,
      'MB',
      worst(own.map(({ memory = Number.NaN }) => memory / 1e6)),
      MOST_MEMORY_MB,
    ),
    atMost(
      `${size}: longest delay of the event loop`,
      'ms',
      worst(own.map(({ longestDelay = Number.NaN }) => longestDelay)),
      LONGEST_DELAY_MS,
    ),
  ];
}

/** What must never be more is judged by the worst round. */
function worst(samples: readonly number[]): number[] {
  return [Math.max(...samples)];
}

export const save: Trial = {
  name: 'save',
  title: 'Saving a model',
  explains: [
    'Tensors in memory, a new file each time; the files of both packages are compared by SHA-256.',
    'Memory and delay are those of the worst round.',
    'On the disk: with fsync of file and folder; the reference has none, one is added to it.',
  ],
  run,
};
