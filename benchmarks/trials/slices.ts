import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { safeOpen } from 'safetensors-mmap';
import type { SliceResult } from '../drivers/results.ts';
import { assertSameWork, type Child, measure, seriesOf, unlessMissing } from '../harness/child.ts';
import { makeCold, makeWarm } from '../harness/cold.ts';
import { atMost, type Comparison, compare, median, notMeasured } from '../harness/compare.ts';
import { assertSpace } from '../harness/disk.ts';
import { nodeDriver } from '../harness/drivers.ts';
import { interleave } from '../harness/interleave.ts';
import { findRust } from '../harness/rust.ts';
import type { Setting, Trial } from '../harness/trial.ts';

/** A weight of many columns, of which each of eight ranks takes its part. */
const RANKS = 8;
const ELEMENT_BYTES = 2;
/** Narrow: a row is less than a page, and every page is needed. */
const COLUMNS = { wide: 32768, narrow: 1536 };
const BYTES = { full: 2 ** 30, quick: 2 ** 28, tiny: 2 ** 22 };
const PAGE_BYTES = 4096;

const MOST_PAGES = 1.05;
/** "Not slower": within the noise of one disk. */
const NOT_SLOWER = 1.1;
const AS_FAST_AS_REFERENCE = 1;

const WARM_TIMES = 6;

interface Weight {
  /** For the ids of rows. */
  id: string;
  name: string;
  path: string;
  rows: number;
  columns: number;
}

/** The columns of the fourth rank. */
function columnsOf({ columns }: Weight): [first: number, last: number] {
  return [(3 * columns) / RANKS, (4 * columns) / RANKS];
}

/** Bytes of the pages that the slice lies in, but for where the file begins. */
function neededBytes(weight: Weight): number {
  const { rows, columns } = weight;
  const row = columns * ELEMENT_BYTES;
  if (row <= PAGE_BYTES) return rows * row;
  const [first, last] = columnsOf(weight);
  // Runs begin anywhere: a page more, less what whole pages they end at.
  return rows * (Math.ceil(((last - first) * ELEMENT_BYTES) / PAGE_BYTES) + 1) * PAGE_BYTES;
}

/** Bytes of the tensors of a file that are in the page cache. */
async function residentBytes(path: string): Promise<number> {
  using file = await safeOpen(path);
  return (await file.residency()).residentBytes;
}

interface Slicer {
  /** For the ids of rows. */
  id: string;
  child: Child;
  task: string;
}

interface Sliced extends SliceResult {
  /** Of the file, in memory afterwards. */
  bytes: number;
}

async function inTurns(
  weight: Weight,
  setting: Setting,
  slicers: readonly Slicer[],
  state: 'cold' | 'warm',
): Promise<Sliced[][]> {
  const { path } = weight;
  const times = state === 'cold' ? 1 : WARM_TIMES;
  const results = await interleave(
    setting.rounds,
    slicers.map(({ child, task }) =>
      unlessMissing(child, async () => {
        if (state === 'cold') await makeCold(path);
        const args = task === 'whole' ? [] : [...columnsOf(weight), times];
        const result = await measure<SliceResult>(child, task, path, ...args);
        return { ...result, bytes: await residentBytes(path) };
      }),
    ),
    setting.quick ? 0 : 2 * statSync(path).size, // which takes seconds
  );
  const sliced = results.filter((_, i) => slicers[i].task !== 'whole').flat();
  assertSameWork(
    weight.name,
    sliced.map(({ checksum }) => checksum),
  );
  return results;
}

async function coldRows(
  weight: Weight,
  setting: Setting,
  slicers: readonly Slicer[],
): Promise<Comparison[]> {
  const { id, name } = weight;
  setting.progress(`${name}, cold`);
  const whole: Slicer = { id: 'whole', child: slicers[0].child, task: 'whole' };
  const results = await inTurns(weight, setting, [...slicers, whole], 'cold');
  const [sync, async, ...others] = results.map((rounds) => rounds.map(({ first }) => first));
  const sequential = { name: 'reading the whole file', samples: others[others.length - 1] };
  const row = (kind: string, label = '') =>
    ({ id: `${id}-cold-${kind}`, what: `${name}, cold${label}`, unit: 'ms' }) as const;
  const limit = { ratio: 'cost', limit: NOT_SLOWER } as const;
  const pages = ({ id: who, child }: Slicer, i: number, most?: number) => {
    const line = {
      id: `${id}-pages-${who}`,
      what: `${name}, cold: pages read, of those needed, ${who === 'sync' ? 'tensor.slice' : who === 'async' ? 'tensor.sliceAsync' : child.name}`,
      unit: '' as const,
    };
    if (child.missing !== undefined) return notMeasured(line, undefined, child.missing);
    const read = results[i].map(({ bytes }) => bytes / neededBytes(weight));
    return atMost(line, read, most);
  };
  return [
    compare(row('whole'), sync, sequential, limit),
    compare(row('async-whole', ', async'), async, sequential, limit),
    ...slicers.slice(2).map(({ id: who, child }, i) =>
      compare(row(who), sync, seriesOf(child, others[i]), {
        ratio: 'faster',
        limit: who === 'python' ? AS_FAST_AS_REFERENCE : undefined,
      }),
    ),
    ...slicers.map((slicer, i) => pages(slicer, i, i < 2 ? MOST_PAGES : undefined)),
  ];
}

async function warmRows(
  weight: Weight,
  setting: Setting,
  slicers: readonly Slicer[],
): Promise<Comparison[]> {
  const { id, name, path } = weight;
  setting.progress(`${name}, warm`);
  await makeWarm(path);
  const results = await inTurns(weight, setting, slicers, 'warm');
  const labels = [
    ['first', 'the first'],
    ['further', 'again'],
  ] as const;
  return labels.flatMap(([figure, label]) => {
    const [sync, async, ...others] = results.map((rounds) =>
      rounds.map(({ first, further }) => (figure === 'first' ? first : median(further))),
    );
    return slicers.slice(2).flatMap(({ id: who, child }, i) => {
      const row = (kind: string, more = '') =>
        ({
          id: `${id}-warm-${figure}-${kind}`,
          what: `${name}, warm, ${label}${more}`,
          unit: 'ms',
        }) as const;
      const peer = seriesOf(child, others[i]);
      const limit = who === 'python' ? AS_FAST_AS_REFERENCE : undefined;
      return [
        compare(row(who), sync, peer, { ratio: 'faster', limit }),
        compare(row(`async-${who}`, ', async'), async, peer, { ratio: 'faster' }),
      ];
    });
  });
}

async function run(setting: Setting): Promise<Comparison[]> {
  const { folder, quick, tiny, reference } = setting;
  const bytes = tiny ? BYTES.tiny : quick ? BYTES.quick : BYTES.full;
  assertSpace(folder, bytes);
  const ours = nodeDriver('slices', 'safetensors-mmap');
  const slicers: Slicer[] = [
    { id: 'sync', child: ours, task: 'slice' },
    { id: 'async', child: ours, task: 'slice-async' },
    { id: 'python', child: reference, task: 'slice' },
    { id: 'rust', child: findRust(setting), task: 'slice' },
  ];
  const rows: Comparison[] = [];
  for (const [id, columns] of Object.entries(COLUMNS)) {
    const height = Math.floor(bytes / (columns * ELEMENT_BYTES));
    const name = `an eighth of the columns, rows of ${(columns * ELEMENT_BYTES) / 1024} KiB`;
    const path = join(folder, `columns-${columns}.safetensors`);
    const weight = { id, name, path, rows: height, columns };
    try {
      await measure(ours, 'write', path, height, columns);
      rows.push(...(await coldRows(weight, setting, slicers)));
      rows.push(...(await warmRows(weight, setting, slicers)));
    } finally {
      rmSync(path, { force: true });
    }
  }
  return rows;
}

export const slices: Trial = {
  name: 'slices',
  title: 'Columns of a weight, as tensor parallelism takes them',
  explains: [
    'A weight of 1 GiB, one of eight ranks’ columns, copied together; opening is not timed.',
    'Cold: the file is evicted before, and mincore says so; pages read are those in memory afterwards, with those of',
    'the header. Reading the whole file is read(2) of 8 MiB, front to back, into memory that is there.',
    'Warm: in the page cache; the first of a process has pages to map, those again have not.',
    'Rows of 3 KiB are shorter than a page: there every page is needed.',
  ],
  run,
};
