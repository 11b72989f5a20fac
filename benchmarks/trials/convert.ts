import { rmSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { SaveResult } from '../drivers/results.ts';
import { assertSameWork, interleave, measure } from '../harness/child.ts';
import { atMost, type Comparison, compare, notMeasured } from '../harness/compare.ts';
import { nodeDriver, pythonDriver } from '../harness/drivers.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';

/** 2 GB, as the target says; a quarter of it for a quick look. */
const BLOCKS = { full: 32, quick: 8, tiny: 1 };
const BLOCK_BYTES = 66_994_176;
const ROUNDS = 5;

const AS_FAST_AS_PYTHON = 1;
const MOST_MEMORY_MB = 100;

async function run(setting: Setting): Promise<Comparison[]> {
  const { folder, quick, tiny, reference } = setting;
  const missing = (reason: string) => [
    notMeasured('a zip checkpoint', `≥ ${AS_FAST_AS_PYTHON}× faster`, reason),
  ];
  if (reference instanceof NotMeasured) return missing(reference.message);
  const blocks = tiny ? BLOCKS.tiny : quick ? BLOCKS.quick : BLOCKS.full;
  const free = statfsSync(folder);
  if (free.bavail * free.bsize < 5 * blocks * BLOCK_BYTES) {
    throw new NotMeasured(`${folder} has less free than what is converted takes`);
  }
  const path = join(folder, 'model.pt');
  const python = pythonDriver(reference, 'convert');
  let version: string;
  try {
    ({ version } = await measure<{ version: string }>(python, 'write', path, blocks));
  } catch {
    return missing('the Python of the reference has no torch');
  }
  const size = `${(statSync(path).size / 1e9).toFixed(1)} GB`;
  setting.progress(`converting ${size}`);
  const ours = nodeDriver('convert', 'safetensors-mmap');
  const outputs = ['plain', 'verified', 'python'].map((name) =>
    join(folder, `${name}.safetensors`),
  );
  const [plain, verified, peer] = outputs;
  const results = await interleave(Math.min(ROUNDS, setting.rounds), [
    () => measure<SaveResult>(ours, 'convert', path, plain, 'plain'),
    () => measure<SaveResult>(ours, 'convert', path, verified, 'verified'),
    () => measure<SaveResult>(python, 'convert', path, peer),
  ]);
  const sums = await Promise.all(
    outputs.map((output) => measure<{ checksum: string }>(ours, 'checksum', output)),
  );
  assertSameWork(
    'the data of the file',
    sums.map(({ checksum }) => checksum),
  );
  for (const file of [path, ...outputs]) rmSync(file);
  const [written, compared, theirs] = results.map((rounds) => rounds.map(({ time }) => time));
  const name = `torch.load and save_file, torch ${version}`;
  const memory = results.map((rounds) =>
    rounds.map(({ memory: bytes = Number.NaN }) => bytes / 1e6),
  );
  const target = { ratio: 'faster', limit: AS_FAST_AS_PYTHON } as const;
  return [
    compare(`${size} zip checkpoint`, 'ms', written, { name, samples: theirs }, target),
    compare(
      `${size} zip checkpoint, and every byte compared`,
      'ms',
      compared,
      { name, samples: theirs },
      target,
    ),
    // The worst round, of both ways.
    atMost(
      `${size}: memory of the process's own, at the peak`,
      'MB',
      [Math.max(...memory[0], ...memory[1])],
      MOST_MEMORY_MB,
    ),
    atMost(`${size}: memory of Python's own, at the end`, 'MB', memory[2]),
  ];
}

export const convert: Trial = {
  name: 'convert',
  title: 'Converting a PyTorch checkpoint',
  explains: [
    'A file in the page cache becomes another one there; the data of both is compared by SHA-256.',
    'Python: from the imports on, weights_only; nobody calls fsync.',
  ],
  run,
};
