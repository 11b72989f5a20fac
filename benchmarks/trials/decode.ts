import { existsSync } from 'node:fs';
import type { DecodeResult } from '../drivers/results.ts';
import type { ChartPoint } from '../harness/chart.ts';
import { assertSameWork, measure } from '../harness/child.ts';
import { type Comparison, compare, point, type Series } from '../harness/compare.ts';
import { MEMORY_BOUND, nodeDriver } from '../harness/drivers.ts';
import { interleave } from '../harness/interleave.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';

/** 128 MB of results, which no cache of one core holds; half of it for a quick look. */
const ELEMENTS = { full: 2 ** 25, quick: 2 ** 24, tiny: 2 ** 19 };
/** Of each round, beside one that is not counted. */
const REPETITIONS = { full: 3, quick: 3, tiny: 1 };

const OF_THE_BOUND = 0.85;
const FASTER_THAN_A_LOOP = 5;

interface Case {
  what: string;
  /** Targets are for the formats of 16 and of 8 bits. */
  target: boolean;
  loop: boolean;
  /** Whether also into new arrays, on another thread, and against memcpy: of each size of elements, one. */
  all: boolean;
}

const CASES: readonly Case[] = [
  ...['BF16', 'F8_E4M3'].map((what) => ({ what, target: true, loop: true, all: true })),
  ...['F16', 'F8_E5M2', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ', 'F8_E8M0'].map((what) => ({
    what,
    target: true,
    loop: true,
    all: false,
  })),
  ...['F6_E2M3', 'F4', 'FP8 in blocks', 'MXFP4'].map((what) => ({
    what,
    target: false,
    loop: false,
    all: false,
  })),
];

const BOUND = 'as many bytes read and written';
const LOOP = 'a plain JavaScript loop';

/** For a quick look. */
const QUICK: readonly string[] = ['BF16', 'F8_E4M3'];

async function measureCase(
  { what, target, loop, all }: Case,
  destination: 'warm' | 'fresh',
  setting: Setting,
  points: ChartPoint[],
): Promise<Comparison[]> {
  const { quick, tiny, rounds, progress } = setting;
  progress(`${what}, ${destination}`);
  const size = tiny ? 'tiny' : quick ? 'quick' : 'full';
  const child = nodeDriver('decode', 'decode');
  const tasks = ['ours', 'bound', ...(loop ? ['loop'] : []), ...(all ? ['memcpy', 'async'] : [])];
  if (destination === 'fresh') tasks.push('pages');
  const results = await interleave(
    rounds,
    tasks.map(
      (task) => () =>
        measure<DecodeResult>(child, task, what, ELEMENTS[size], destination, REPETITIONS[size]),
    ),
    // New results are there until they are collected.
    destination === 'fresh' ? (REPETITIONS[size] + 2) * 4 * ELEMENTS[size] : 0,
  );
  assertSameWork(
    what,
    results.flat().flatMap(({ checksum }) => checksum ?? []),
  );
  const measured = results.map((series) =>
    // Whatever else the machine does can only make memory slower.
    series.map(({ times }) => Math.min(...times)),
  );
  const samplesOf = (task: string) => measured[tasks.indexOf(task)];
  const [ours, bound] = measured;
  const name = `${what}, ${destination} destination`;
  const peers: [id: string, peer: Series, least?: number][] = [
    ['bound', { name: BOUND, samples: bound }, OF_THE_BOUND],
  ];
  if (loop) {
    peers.push(['loop', { name: LOOP, samples: samplesOf('loop') }, FASTER_THAN_A_LOOP]);
  }
  if (destination === 'warm') {
    const speeds = ({ samples, ...one }: Series): Series => ({
      ...one,
      samples: samples.map((ms) => (4 * ELEMENTS[size]) / ms / 1e6),
    });
    for (const one of [
      { name: 'safetensors-mmap', samples: ours },
      ...peers.map(([, peer]) => peer),
    ]) {
      points.push(point(speeds(one), what));
    }
  }
  if (destination === 'fresh') {
    peers.push([
      'pages',
      { name: 'the new memory alone, in huge pages', samples: samplesOf('pages') },
    ]);
  }
  const row = (id: string, label = name) =>
    ({ id: `${what}-${destination}-${id}`, what: label, unit: 'ms' }) as const;
  return [
    ...peers.map(([id, peer, least]) =>
      compare(row(id), ours, peer, { ratio: 'faster', limit: target ? least : undefined }),
    ),
    ...(all
      ? [
          compare(
            row('memcpy'),
            ours,
            { name: 'memcpy of the results', samples: samplesOf('memcpy') },
            { ratio: 'faster' },
          ),
          compare(
            row('async', `${name}, toFloat32Async`),
            samplesOf('async'),
            { name: 'toFloat32', samples: ours },
            { ratio: 'faster' },
          ),
        ]
      : []),
  ];
}

export const decode: Trial = {
  name: 'decode',
  title: 'Decoding to F32',
  explains: [
    'Memory to memory, on one thread but for toFloat32Async; the results of all decoders are compared by SHA-256.',
    'Warm: into memory that has been written before. Fresh: into a new array each time, which the',
    'system has to give its pages; those alone: one byte of each is written. The bound reads and writes the same bytes around the caches and computes nothing.',
  ],
  run: async (setting) => {
    if (process.arch !== 'x64') {
      throw new NotMeasured('the kernel that it is held against needs x86-64');
    }
    if (!existsSync(MEMORY_BOUND)) {
      throw new NotMeasured('benchmarks/native is not compiled: npm run build:bench');
    }
    const rows: Comparison[] = [];
    const points: ChartPoint[] = [];
    const cases = setting.quick ? CASES.filter(({ what }) => QUICK.includes(what)) : CASES;
    for (const destination of ['warm', 'fresh'] as const) {
      for (const each of cases) {
        if (destination === 'fresh' && !each.all) continue;
        rows.push(...(await measureCase(each, destination, setting, points)));
      }
    }
    setting.draw({
      name: 'decode',
      title: 'Decoding to F32 on one thread, into memory written before: results',
      unit: 'GB/s',
      kind: 'groups',
      xTitle: 'dtype',
      points,
    });
    return rows;
  },
};
