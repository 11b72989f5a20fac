import type { SizesResult } from '../drivers/results.ts';
import { sizeOf, totalBytes, type Weights, writeWeights } from '../files/weights.ts';
import { assertSameWork, interleave, measure } from '../harness/child.ts';
import { makeCold, makeWarm } from '../harness/cold.ts';
import { type Comparison, compare, median, point, type Series } from '../harness/compare.ts';
import { nodeDriver } from '../harness/drivers.ts';
import { assertMemory } from '../harness/memory.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';
import { weights } from './files.ts';

const FASTER_AT_TWO_GIGABYTES = 10_000;
const OPENS = 51;
/** The larger files take seconds. */
const ROUNDS = 5;
const MIB = 2 ** 20;

interface OfSize {
  bytes: number;
  size: string;
  /** Milliseconds. */
  ours: SizesResult[];
  readFile: SizesResult[];
}

function filesOf(setting: Setting): Weights[] {
  const small = [1, 16].map((tensors) => ({ tensors, tensorBytes: MIB }));
  if (setting.tiny) return small;
  const large = [weights(setting, 'whole'), weights(setting, 'large')];
  return [...small, { tensors: 16, tensorBytes: 16 * MIB }, ...large].filter(
    (one, i, all) => all.findIndex((other) => totalBytes(other) === totalBytes(one)) === i,
  );
}

async function ofSize(setting: Setting, file: Weights, state: 'warm' | 'cold'): Promise<OfSize> {
  const bytes = totalBytes(file);
  assertMemory(2 * bytes);
  const path = writeWeights(setting.folder, file);
  setting.progress(`${sizeOf(file)}, ${state}`);
  await makeWarm(path);
  const driver = nodeDriver('sizes', 'sizes');
  const prepared = (task: string, opens: number) => async () => {
    if (state === 'cold') await makeCold(path);
    return measure<SizesResult>(driver, task, path, opens);
  };
  const [ours, readFile] = await interleave(
    setting.quick ? 1 : Math.min(ROUNDS, setting.rounds),
    // A cold file is opened once: after that it is cold no more.
    [prepared('ours', state === 'cold' ? 1 : OPENS), prepared('read-file', 1)],
  );
  assertSameWork(
    path,
    [...ours, ...readFile].map(({ checksum }) => checksum),
  );
  return { bytes, size: sizeOf(file), ours, readFile };
}

function rows(one: OfSize, state: 'warm' | 'cold', limit?: number): Comparison[] {
  const { size, ours, readFile } = one;
  const row = (label: string, own: keyof SizesResult, other: keyof SizesResult, most?: number) =>
    compare(
      `${size}, ${state}: ${label}`,
      'ms',
      ours.map((result) => Number(result[own])),
      { name: nameOf(one), samples: readFile.map((result) => Number(result[other])) },
      { ratio: 'faster', ...(most === undefined ? {} : { limit: most }) },
    );
  const first = row('the first open of a process', 'first', 'first', limit);
  if (state === 'cold') return [first];
  return [
    first,
    row('further opens', 'further', 'first', limit),
    row('the first, and views of all tensors', 'firstViews', 'firstViews'),
    row('further ones, and views', 'furtherViews', 'firstViews'),
  ];
}

function nameOf({ bytes }: OfSize): string {
  return bytes < 2 ** 31 ? 'fs.readFile' : 'positioned reads (fs.readFile refuses over 2 GiB)';
}

/** Whether the ratio is larger for every file that is larger. */
function growth(all: readonly OfSize[]): Comparison {
  const ratios = all.map(
    ({ ours, readFile }) =>
      median(readFile.map(({ first }) => first)) / median(ours.map(({ further }) => further)),
  );
  const grows = ratios.every((ratio, i) => i === 0 || ratio > ratios[i - 1]);
  return {
    what: 'the gap grows with the size',
    unit: '',
    target: 'at each size',
    verdict: grows ? 'met' : 'missed',
    note: all.map(({ size }, i) => `${size}: ${Math.round(ratios[i])}×`).join(', '),
  };
}

async function run(setting: Setting): Promise<Comparison[]> {
  const files = filesOf(setting);
  const judged = totalBytes(weights(setting, 'whole'));
  const warm: OfSize[] = [];
  const found: Comparison[] = [];
  for (const file of files) {
    const one = await ofSize(setting, file, 'warm');
    warm.push(one);
    const limit = one.bytes === judged ? FASTER_AT_TWO_GIGABYTES : undefined;
    found.push(...rows(one, 'warm', limit));
  }
  found.push(growth(warm));
  const cold = await ofSize(setting, weights(setting, 'whole'), 'cold').catch((error: unknown) => {
    if (!(error instanceof NotMeasured)) throw error;
    return undefined;
  });
  if (cold !== undefined) found.push(...rows(cold, 'cold'));
  const line = (name: string, of: (one: OfSize) => Series['samples']) =>
    warm.map((one) => point(name, of(one), one.bytes));
  setting.draw({
    name: 'open-size',
    title: 'Opening a file that is in the page cache',
    unit: 'ms',
    kind: 'lines',
    xTitle: 'bytes of the file',
    points: [
      ...line('fs.readFile', ({ readFile }) => readFile.map(({ first }) => first)),
      ...line('safetensors-mmap, first of a process', ({ ours }) => ours.map(({ first }) => first)),
      ...line('safetensors-mmap, further ones', ({ ours }) => ours.map(({ further }) => further)),
    ],
  });
  return found;
}

export const openSize: Trial = {
  name: 'open-size',
  title: 'Opening files of many sizes',
  explains: [
    'Tensors of 16 MiB (1 MiB in small files). fs.readFile reads all of a file, we read its header; both once',
    'in a fresh process, and ours again in the same one, median. Warm: the file is in the page cache.',
    'The target of 2 GB is held against both, and holds for a full run only.',
  ],
  run,
};
