import { statSync, writeFileSync } from 'node:fs';
import type { TouchResult } from '../drivers/results.ts';
import { removeWeights, type Weights, writeWeights } from '../files/weights.ts';
import type { ChartPoint } from '../harness/chart.ts';
import { assertSameWork, type Child, measure, seriesOf, unlessMissing } from '../harness/child.ts';
import { makeCold } from '../harness/cold.ts';
import { type Comparison, compare, point, type Series } from '../harness/compare.ts';
import { type ReadAhead, readAheadOf, setReadAhead } from '../harness/disk.ts';
import { nodeDriver, pythonDriver } from '../harness/drivers.ts';
import { interleave } from '../harness/interleave.ts';
import { seededRandom } from '../harness/random.ts';
import { findDisk } from '../harness/readers.ts';
import { findRust } from '../harness/rust.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';

const FASTER_THAN_FAULTS = 10;
/** The read-ahead that most disks are left at. */
const READ_AHEAD_KB = 128;
const ONE_OF = 20;
/** Scales and norms; small layers; rows of experts; layers. */
const TENSOR_KIB = [16, 64, 1024, 16_384];
const QUICK_TENSOR_KIB = [64];
const FILE_BYTES = { full: 2 ** 31, quick: 2 ** 28, tiny: 2 ** 22 };

/** A driver, its task, and what that takes beside the file: the names, if nothing else is said. */
type Reading = readonly [child: Child, task: string, args?: readonly number[]];

/** The disk alone has none. */
type Read = Pick<TouchResult, 'time'> & Partial<Pick<TouchResult, 'checksum'>>;

const PREFETCH: Reading = [nodeDriver('scattered', 'prefetch(names)'), 'prefetch'];
const FAULTS: Reading = [nodeDriver('scattered', 'page faults alone'), 'fault'];

/** The ids of rows say whom ours is compared with. */
function peersOf(setting: Setting, tensors: number, kib: number): [id: string, reading: Reading][] {
  return [
    ['disk', [findDisk(), 'scattered', [tensors, kib]]],
    ['python', [pythonDriver(setting.reference, 'touch'), 'scattered']],
    ['rust', [findRust(setting), 'scattered']],
  ];
}

function fileOf(kib: number, { quick, tiny }: Setting): Weights {
  const bytes = tiny ? FILE_BYTES.tiny : quick ? FILE_BYTES.quick : FILE_BYTES.full;
  const tensorBytes = kib * 1024;
  return { tensors: Math.max(1, Math.floor(bytes / tensorBytes)), tensorBytes };
}

/** One of twenty, each anywhere in its twenty: the same in every run. */
function pick(tensors: number): string[] {
  const names: string[] = [];
  const next = seededRandom();
  for (let first = 0; first < tensors; first += ONE_OF) {
    const i = first + (next() % Math.min(ONE_OF, tensors - first));
    names.push(`t${String(i).padStart(6, '0')}`);
  }
  return names;
}

function namesOf(path: string): string {
  return `${path}.names.json`;
}

async function times(setting: Setting, path: string, readings: readonly Reading[]) {
  const results = await interleave(
    setting.rounds,
    readings.map(([child, task, args = [namesOf(path)]]) =>
      unlessMissing(child, async () => {
        await makeCold(path);
        return measure<Read>(child, task, path, ...args);
      }),
    ),
    statSync(path).size,
  );
  assertSameWork(
    path,
    results.flat().flatMap(({ checksum }) => checksum ?? []),
  );
  return results.map((ofReading, i) =>
    seriesOf(
      readings[i][0],
      ofReading.map(({ time }) => time),
    ),
  );
}

/** All with a read-ahead of 128 KB; where it cannot be set, the faults are those without any. */
async function atSmallReadAhead(
  setting: Setting,
  path: string,
  peers: readonly Reading[],
): Promise<Series[]> {
  let reason: string;
  try {
    const restore = setReadAhead(settableReadAhead(setting), READ_AHEAD_KB);
    try {
      return await times(setting, path, [PREFETCH, FAULTS, ...peers]);
    } finally {
      restore();
    }
  } catch (error) {
    if (!(error instanceof NotMeasured)) throw error;
    reason = error.message;
  }
  const { missing } = setting.reference;
  const standIn = {
    ...pythonDriver(setting.reference, 'touch'),
    name: 'page faults under posix_fadvise(RANDOM), standing in',
    ...(missing === undefined ? {} : { missing: `${reason}; ${missing}` }),
  };
  return times(setting, path, [PREFETCH, [standIn, 'random'], ...peers]);
}

/** It is a setting of the machine: two that change it at once would put back what the other has set. */
function settableReadAhead({ folder, tiny }: Setting): ReadAhead {
  if (tiny) throw new NotMeasured('tests leave the read-ahead of the disk as it is');
  const found = readAheadOf(folder);
  if (found === undefined) throw new NotMeasured('the disk does not tell its read-ahead');
  return found;
}

async function ofSize(setting: Setting, kib: number): Promise<[Comparison[], ChartPoint[]]> {
  const file = fileOf(kib, setting);
  const names = pick(file.tensors);
  const size = kib < 1024 ? `${kib} KiB` : `${kib / 1024} MiB`;
  const what = `${names.length} of ${file.tensors} tensors of ${size}`;
  setting.progress(what);
  const path = writeWeights(setting.folder, file);
  const row = (id: string, readAhead: string) =>
    ({ id: `${kib}kib-${id}`, what: `${what}, read-ahead ${readAhead}`, unit: 'ms' }) as const;
  try {
    writeFileSync(namesOf(path), JSON.stringify(names));
    const peers = peersOf(setting, names.length, kib);
    const [own, faults, ...theirs] = await atSmallReadAhead(
      setting,
      path,
      peers.map(([, reading]) => reading),
    );
    const usual = await times(setting, path, [PREFETCH, FAULTS]);
    const small = `${READ_AHEAD_KB} KB`;
    return [
      [
        compare(row('faults', small), own.samples, faults, {
          ratio: 'faster',
          limit: FASTER_THAN_FAULTS,
        }),
        compare(
          { ...row('most', small), what: `${what}: the disk alone, against page faults` },
          theirs[0].samples,
          faults,
          { ratio: 'faster' },
        ),
        ...peers.map(([id], i) =>
          compare(row(id, small), own.samples, theirs[i], { ratio: 'faster' }),
        ),
        compare(row('usual', 'as it was found'), usual[0].samples, usual[1], { ratio: 'faster' }),
      ],
      [own, faults, ...theirs].map((series) => point(series, size)),
    ];
  } finally {
    removeWeights(path);
  }
}

export const scattered: Trial = {
  name: 'scattered',
  title: 'Some tensors of a cold file: 5 %, scattered over all of it',
  explains: [
    'The file is evicted before each, and proven cold with mincore(2); every page of the tensors is touched.',
    `The target is held at a read-ahead of ${READ_AHEAD_KB} KB, which is set for that time and set back.`,
    'The disk alone reads as many blocks of that size, past the page cache, with up to 64 in its queue: nothing',
    'that reads them is faster.',
    'The readers of npm cannot do this: they take the bytes of the whole file.',
  ],
  run: async (setting) => {
    const rows: Comparison[] = [];
    const points: ChartPoint[] = [];
    for (const kib of setting.quick ? QUICK_TENSOR_KIB : TENSOR_KIB) {
      const [ofThis, drawn] = await ofSize(setting, kib);
      rows.push(...ofThis);
      points.push(...drawn);
    }
    setting.draw({
      name: 'scattered',
      title: `5 % of the tensors, scattered, cold, at a read-ahead of ${READ_AHEAD_KB} KB`,
      unit: 'ms',
      kind: 'groups',
      xTitle: 'size of a tensor',
      points,
    });
    return rows;
  },
};
