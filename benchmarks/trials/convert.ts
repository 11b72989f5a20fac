import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { SaveResult } from '../drivers/results.ts';
import { assertSameWork, measure } from '../harness/child.ts';
import { atMost, type Comparison, compare, never, notMeasured } from '../harness/compare.ts';
import { assertSpace } from '../harness/disk.ts';
import { findTorch, nodeDriver } from '../harness/drivers.ts';
import { interleave } from '../harness/interleave.ts';
import type { Setting, Trial } from '../harness/trial.ts';

/** 2 GB, as the target says; a quarter of it for a quick look. */
const BLOCKS = { full: 32, quick: 8, tiny: 1 };
const BLOCK_BYTES = 66_994_176;

const AS_FAST_AS_PYTHON = 1;
const MOST_MEMORY_MB = 100;

/** Labels of the rows. */
const ROWS = {
  plain: 'zip checkpoint',
  verified: 'zip checkpoint, and every byte compared',
  memory: "memory of the process's own, at the peak",
  'python-memory': "memory of Python's own, at the end",
} as const;

async function run(setting: Setting): Promise<Comparison[]> {
  const { folder, quick, tiny, reference, rounds } = setting;
  const torch = findTorch(reference, 'convert');
  if (torch.missing !== undefined) {
    const reason = `${torch.missing}: it writes what is converted`;
    return Object.entries(ROWS).map(([id, what]) =>
      notMeasured({ id, what, unit: '' }, undefined, reason),
    );
  }
  const blocks = tiny ? BLOCKS.tiny : quick ? BLOCKS.quick : BLOCKS.full;
  assertSpace(folder, 4 * blocks * BLOCK_BYTES);
  const path = join(folder, 'model.pt');
  await measure(torch, 'write', path, blocks);
  const size = `${(statSync(path).size / 1e9).toFixed(1)} GB`;
  setting.progress(`converting ${size}`);
  const ours = nodeDriver('convert', 'safetensors-mmap');
  const outputs = Object.keys(ROWS)
    .slice(0, 3)
    .map((name) => join(folder, `${name}.safetensors`));
  const [plain, verified, theirs] = outputs;
  const results = await interleave(
    rounds,
    [
      () => measure<SaveResult>(ours, 'convert', path, plain, 'plain'),
      () => measure<SaveResult>(ours, 'convert', path, verified, 'verified'),
      () => measure<SaveResult>(torch, 'convert', path, theirs),
    ],
    quick ? 0 : 4 * blocks * BLOCK_BYTES, // which takes seconds
  );
  const sums = await Promise.all(
    outputs.map((output) => measure<{ checksum: string }>(ours, 'checksum', output)),
  );
  assertSameWork(
    'the data of the file',
    sums.map(({ checksum }) => checksum),
  );
  for (const file of [path, ...outputs]) rmSync(file);
  const times = results.map((series) => series.map(({ time }) => time));
  const memory = results.map((series) =>
    series.map(({ memory: bytes = Number.NaN }) => bytes / 1e6),
  );
  const peer = { name: `torch.load and save_file, ${torch.name}`, samples: times[2] };
  const row = <Unit>(id: keyof typeof ROWS, unit: Unit) => ({
    id,
    what: `${size} ${ROWS[id]}`,
    unit,
  });
  const target = { ratio: 'faster', limit: AS_FAST_AS_PYTHON } as const;
  return [
    compare(row('plain', 'ms' as const), times[0], peer, target),
    compare(row('verified', 'ms' as const), times[1], peer, target),
    never(
      row('memory', 'MB' as const),
      memory[0].map((bytes, round) => Math.max(bytes, memory[1][round])),
      MOST_MEMORY_MB,
    ),
    atMost(row('python-memory', 'MB' as const), memory[2]),
  ];
}

export const convert: Trial = {
  name: 'convert',
  title: 'Converting a PyTorch checkpoint',
  explains: [
    'A file in the page cache becomes another one there; the data of both is compared by SHA-256.',
    'Python: from the imports on, weights_only; nobody calls fsync. Memory: the larger of both ways, the worst round.',
  ],
  run,
};
