import { rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { safeOpen } from 'safetensors-mmap';
import type { SliceResult } from '../drivers/results.ts';
import { assertSameWork, type Child, measure } from '../harness/child.ts';
import { makeCold, makeWarm } from '../harness/cold.ts';
import { atMost, type Comparison, compare, median, notMeasured } from '../harness/compare.ts';
import { nodeDriver } from '../harness/drivers.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';

/** A weight of many columns, of which each of eight ranks takes its part. */
const RANKS = 8;
const ELEMENT_BYTES = 2;
const WIDE_COLUMNS = 32768;
/** A row is less than a page: every page is needed. */
const NARROW_COLUMNS = 1536;
const BYTES = { full: 2 ** 30, quick: 2 ** 28, tiny: 2 ** 22 };
const PAGE_BYTES = 4096;

const MOST_PAGES = 1.05;
/** "Not slower": within the noise of one disk. */
const NOT_SLOWER = 1.1;
const AS_FAST_AS_REFERENCE = 1;

const WARM_TIMES = 6;
const ROUNDS = 5;

interface Weight {
  name: string;
  path: string;
  rows: number;
  columns: number;
}

interface Cold {
  times: number[];
  /** Of the file, in memory afterwards. */
  bytes: number[];
}

/** The columns of the fourth rank. */
function columnsOf({ columns }: Weight): [first: number, last: number] {
  return [(3 * columns) / RANKS, (4 * columns) / RANKS];
}

/** Bytes of the pages that the slice lies in, but for where the file begins. */
function neededBytes({ rows, columns }: Weight): number {
  const row = columns * ELEMENT_BYTES;
  if (row <= PAGE_BYTES) return rows * row;
  const [first, last] = columnsOf({ rows, columns, name: '', path: '' });
  // Runs begin anywhere: a page more, less what whole pages they end at.
  return rows * (Math.ceil(((last - first) * ELEMENT_BYTES) / PAGE_BYTES) + 1) * PAGE_BYTES;
}

/** Bytes of the tensors of a file that are in the page cache. */
async function residentBytes(path: string): Promise<number> {
  using file = await safeOpen(path);
  return (await file.residency()).residentBytes;
}

type Task = [child: Child, task: string];

async function cold(weight: Weight, rounds: number, tasks: readonly Task[]): Promise<Cold[]> {
  const results: Cold[] = tasks.map(() => ({ times: [], bytes: [] }));
  const checksums: string[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const [i, [child, task]] of tasks.entries()) {
      await makeCold(weight.path);
      const columns = task === 'whole' ? [] : [...columnsOf(weight), 1];
      const result = await measure<SliceResult>(child, task, weight.path, ...columns);
      results[i].times.push(result.first);
      results[i].bytes.push(await residentBytes(weight.path));
      if (task !== 'whole') checksums.push(result.checksum);
    }
  }
  assertSameWork(weight.name, checksums);
  return results;
}

async function warm(weight: Weight, rounds: number, tasks: readonly Task[]) {
  const results = tasks.map(() => ({ first: [] as number[], further: [] as number[] }));
  const checksums: string[] = [];
  await makeWarm(weight.path);
  for (let round = 0; round < rounds; round++) {
    for (const [i, [child, task]] of tasks.entries()) {
      const args = [...columnsOf(weight), WARM_TIMES];
      const { first, further, checksum } = await measure<SliceResult>(
        child,
        task,
        weight.path,
        ...args,
      );
      results[i].first.push(first);
      results[i].further.push(median(further));
      checksums.push(checksum);
    }
  }
  assertSameWork(weight.name, checksums);
  return results;
}

async function ofWeight(weight: Weight, setting: Setting): Promise<Comparison[]> {
  const { reference, progress } = setting;
  const rounds = Math.min(ROUNDS, setting.rounds);
  const ours = nodeDriver('slices', 'safetensors-mmap');
  const python: Task[] = reference instanceof NotMeasured ? [] : [[reference, 'slice']];
  const { name } = weight;
  progress(`${name}, cold`);
  const [sync, other, whole, theirs] = await cold(weight, rounds, [
    [ours, 'slice'],
    [ours, 'slice-async'],
    [ours, 'whole'],
    ...python,
  ]);
  const sequential = { name: 'reading the whole file', samples: whole.times };
  const rows = [
    compare(`${name}, cold`, 'ms', sync.times, sequential, { ratio: 'cost', limit: NOT_SLOWER }),
    compare(`${name}, cold, async`, 'ms', other.times, sequential, {
      ratio: 'cost',
      limit: NOT_SLOWER,
    }),
    ...[sync, other].map(({ bytes }, i) =>
      atMost(
        `${name}, cold${i === 0 ? '' : ', async'}: pages read, of those needed`,
        '',
        bytes.map((read) => read / neededBytes(weight)),
        MOST_PAGES,
      ),
    ),
  ];
  if (reference instanceof NotMeasured) {
    rows.push(notMeasured(`${name}, against the reference`, '≥ 1× faster', reference.message));
  } else {
    const peer = { name: reference.name, samples: theirs.times };
    const limit = AS_FAST_AS_REFERENCE;
    rows.push(
      compare(`${name}, cold`, 'ms', sync.times, peer, { ratio: 'faster', limit }),
      atMost(
        `${name}, cold: pages that the reference reads, of those needed`,
        '',
        theirs.bytes.map((read) => read / neededBytes(weight)),
      ),
    );
  }
  progress(`${name}, warm`);
  const [warmSync, warmAsync, warmTheirs] = await warm(weight, rounds, [
    [ours, 'slice'],
    [ours, 'slice-async'],
    ...python,
  ]);
  for (const [kind, samples] of Object.entries({ first: 'the first', further: 'again' })) {
    const figure = kind as 'first' | 'further';
    if (reference instanceof NotMeasured) {
      rows.push(atMost(`${name}, warm, ${samples}`, 'ms', warmSync[figure]));
      continue;
    }
    const peer = { name: reference.name, samples: warmTheirs[figure] };
    const limit = AS_FAST_AS_REFERENCE;
    rows.push(
      compare(`${name}, warm, ${samples}`, 'ms', warmSync[figure], peer, {
        ratio: 'faster',
        limit,
      }),
      compare(`${name}, warm, ${samples}, async`, 'ms', warmAsync[figure], peer, {
        ratio: 'faster',
      }),
    );
  }
  return rows;
}

async function run(setting: Setting): Promise<Comparison[]> {
  const { folder, quick, tiny } = setting;
  const bytes = tiny ? BYTES.tiny : quick ? BYTES.quick : BYTES.full;
  const free = statfsSync(folder);
  if (free.bavail * free.bsize < 2 * bytes) {
    throw new NotMeasured(`${folder} has less free than twice a file of the trial`);
  }
  const rows: Comparison[] = [];
  for (const columns of [WIDE_COLUMNS, NARROW_COLUMNS]) {
    const height = Math.floor(bytes / (columns * ELEMENT_BYTES));
    const name = `an eighth of the columns, rows of ${(columns * ELEMENT_BYTES) / 1024} KiB`;
    const path = join(folder, `columns-${columns}.safetensors`);
    try {
      await measure(nodeDriver('slices', ''), 'write', path, height, columns);
      rows.push(...(await ofWeight({ name, path, rows: height, columns }, setting)));
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
