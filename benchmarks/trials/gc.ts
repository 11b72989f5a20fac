import type { GcResult } from '../drivers/results.ts';
import { sizeOf, totalBytes, writeWeights } from '../files/weights.ts';
import { assertSameWork, measure } from '../harness/child.ts';
import { makeWarm } from '../harness/cold.ts';
import { type Comparison, compare } from '../harness/compare.ts';
import { nodeDriver } from '../harness/drivers.ts';
import { interleave } from '../harness/interleave.ts';
import type { Setting, Trial } from '../harness/trial.ts';
import { weights } from './files.ts';

const TASKS = ['ours', 'read-file'];
const FIGURES = [
  ['full GCs', 'GCs', 'full'],
  ['GCs of any kind', 'GCs', 'all'],
  ['pause by all of them', 'ms', 'pause'],
  ['time', 'ms', 'time'],
] as const;

async function run(setting: Setting): Promise<Comparison[]> {
  const file = weights(setting, 'whole');
  const path = writeWeights(setting.folder, file);
  await makeWarm(path);
  const what = `${sizeOf(file)} beside a heap of 200 MB`;
  setting.progress(what);
  const driver = nodeDriver('gc', 'gc');
  const [ours, readFile] = await interleave(
    setting.rounds,
    TASKS.map((task) => () => measure<GcResult>(driver, task, path)),
    totalBytes(file),
  );
  assertSameWork(
    what,
    [...ours, ...readFile].map(({ checksum }) => checksum),
  );
  return FIGURES.map(([label, unit, figure]) =>
    compare(
      { id: figure, what: `${what}: ${label}`, unit },
      ours.map((result) => result[figure]),
      { name: 'fs.readFile and views', samples: readFile.map((result) => result[figure]) },
      { ratio: 'cost' },
    ),
  );
}

export const gc: Trial = {
  name: 'gc',
  title: 'Garbage collections of opening a file beside a large heap',
  explains: [
    'Opening the file and making a view of each of its tensors; the file is in the page cache.',
    'V8 answers every external buffer that is large with one full collection.',
  ],
  run,
};
