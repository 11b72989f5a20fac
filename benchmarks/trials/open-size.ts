import type { SizesResult } from '../drivers/results.ts';
import { sizeOf, totalBytes, type Weights, writeWeights } from '../files/weights.ts';
import { assertSameWork, measure } from '../harness/child.ts';
import { makeCold, makeWarm } from '../harness/cold.ts';
import {
  type Comparison,
  compare,
  median,
  notMeasured,
  point,
  type Series,
} from '../harness/compare.ts';
import { nodeDriver } from '../harness/drivers.ts';
import { interleave } from '../harness/interleave.ts';
import { assertMemory } from '../harness/memory.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';
import { weights } from './files.ts';

const FASTER_AT_TWO_GIGABYTES = 10_000;
const OPENS = 51;
const MIB = 2 ** 20;
/** Of the largest file: as many as the one of 2 GB has, each more than twice as long. */
const LARGE_TENSOR_BYTES = 36 * MIB;

interface OfSize {
  /** For the ids of rows. */
  id: string;
  bytes: number;
  size: string;
  /** Milliseconds. */
  ours: SizesResult[];
  readFile: SizesResult[];
}

interface File {
  id: string;
  weights: Weights;
}

/** Without those that a quick look has twice. */
function filesOf(setting: Setting): File[] {
  const small = [1, 16].map((tensors): File => {
    return { id: `${tensors}mib`, weights: { tensors, tensorBytes: MIB } };
  });
  if (setting.tiny) return small;
  const whole = weights(setting, 'whole');
  const large: File[] = [
    { id: '256mib', weights: { tensors: 16, tensorBytes: 16 * MIB } },
    { id: 'whole', weights: whole },
    { id: 'large', weights: { ...whole, tensorBytes: LARGE_TENSOR_BYTES } },
  ];
  const size = (file: File) => totalBytes(file.weights);
  return [...small, ...large].filter(
    (one, i, all) => all.findLastIndex((other) => size(other) === size(one)) === i,
  );
}

async function ofSize(
  setting: Setting,
  { id, weights: file }: File,
  state: 'warm' | 'cold',
): Promise<OfSize> {
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
    setting.rounds,
    // A cold file is opened once: after that it is cold no more.
    [prepared('ours', state === 'cold' ? 1 : OPENS), prepared('read-file', 1)],
    setting.quick ? 0 : 2 * bytes, // which takes seconds
  );
  assertSameWork(
    path,
    [...ours, ...readFile].map(({ checksum }) => checksum),
  );
  return { id, bytes, size: sizeOf(file), ours, readFile };
}

function rows(one: OfSize, state: 'warm' | 'cold', limit?: number): Comparison[] {
  const { id, size, ours, readFile } = one;
  const row = (
    figure: string,
    label: string,
    own: keyof SizesResult,
    other: keyof SizesResult,
    most?: number,
  ) =>
    compare(
      { id: `${id}-${state}-${figure}`, what: `${size}, ${state}: ${label}`, unit: 'ms' },
      ours.map((result) => Number(result[own])),
      { name: nameOf(one), samples: readFile.map((result) => Number(result[other])) },
      { ratio: 'faster', limit: most },
    );
  const first = row('first', 'the first open of a process', 'first', 'first', limit);
  if (state === 'cold') return [first];
  return [
    first,
    row('further', 'further opens', 'further', 'first', limit),
    row('first-views', 'the first, and views of all tensors', 'firstViews', 'firstViews'),
    row('further-views', 'further ones, and views', 'furtherViews', 'firstViews'),
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
    id: 'growth',
    what: 'the gap grows with the size',
    unit: '',
    rounds: Math.min(...all.map(({ ours }) => ours.length)),
    target: 'at each size',
    verdict: grows ? 'met' : 'missed',
    note: all.map(({ size }, i) => `${size}: ${Math.round(ratios[i])}×`).join(', '),
  };
}

async function run(setting: Setting): Promise<Comparison[]> {
  const files = filesOf(setting);
  const warm: OfSize[] = [];
  const found: Comparison[] = [];
  for (const file of files) {
    const one = await ofSize(setting, file, 'warm');
    warm.push(one);
    const limit = one.id === 'whole' ? FASTER_AT_TWO_GIGABYTES : undefined;
    found.push(...rows(one, 'warm', limit));
  }
  found.push(growth(warm));
  const whole: File = { id: 'whole', weights: weights(setting, 'whole') };
  try {
    found.push(...rows(await ofSize(setting, whole, 'cold'), 'cold'));
  } catch (error) {
    if (!(error instanceof NotMeasured)) throw error;
    const what = `${sizeOf(whole.weights)}, cold: the first open of a process`;
    found.push(notMeasured({ id: 'whole-cold-first', what, unit: 'ms' }, undefined, error.message));
  }
  const line = (name: string, of: (one: OfSize) => Series['samples']) =>
    warm.map((one) => point({ name, samples: of(one) }, one.bytes));
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
    'Tensors of 16 MiB (1 MiB in small files); the largest file has as many as the one before it, of 36 MiB:',
    'opening takes longer the more tensors there are, however many bytes they have. fs.readFile reads all of a',
    'file, we read its header; both once in a fresh process, and ours again in the same one, median. Warm: the',
    'file is in the page cache.',
    'The target of 2 GB is held against both, and holds for a full run only.',
  ],
  run,
};
