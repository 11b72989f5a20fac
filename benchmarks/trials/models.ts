import type { ModelViewsResult, OpenResult } from '../drivers/results.ts';
import { assertSameWork, type Child, measure, seriesOf, unlessMissing } from '../harness/child.ts';
import {
  atMost,
  type Comparison,
  compare,
  median,
  never,
  notMeasured,
  type Row,
  type Unit,
} from '../harness/compare.ts';
import { interleave } from '../harness/interleave.ts';
import type { NodeChild, Setting, Trial } from '../harness/trial.ts';
import { deepSeekShards } from './files.ts';

const FASTER_THAN_REFERENCE = 3;
const MOST_FULL_COLLECTIONS = 1;
const OPENS = { full: 11, quick: 2 };
const OPENING_COLLECTIONS = 'full GCs of opening it';
const COLLECTIONS = `${OPENING_COLLECTIONS} and viewing all tensors`;

interface Heap {
  /** For the ids of rows. */
  id: string;
  megabytes: number;
}

/** A process that has nothing else, and one that has a heap as large programs have. */
const HEAPS: readonly Heap[] = [
  { id: 'alone', megabytes: 0 },
  { id: 'heap', megabytes: 160 },
];
const WHAT = 'DeepSeek-V3, 163 shards';

async function openTimes(folder: string, setting: Setting): Promise<Comparison[]> {
  const { ours, reference, rounds, quick } = setting;
  setting.progress(WHAT);
  const opens = quick ? OPENS.quick : OPENS.full;
  const open = (child: Child, task: string) =>
    unlessMissing(child, () => measure<OpenResult>(child, task, folder, opens));
  await open(ours, 'open-model')?.(); // the files' pages and the programs' are in memory from here on
  const results = await interleave(rounds, [
    open(ours, 'open-model'),
    open(ours, 'open-model-keys'),
    open(reference, 'open-model'),
    open(reference, 'open-indexed-model'),
  ]);
  assertSameWork(
    WHAT,
    results.flat().map(({ checksum }) => checksum),
  );
  const [alone, keys, python, indexed] = results.map((ofTask) => ({
    first: ofTask.map(({ first }) => first),
    further: ofTask.map(({ further }) => median(further)),
  }));
  const peers = {
    shards: { ...reference, name: `${reference.name}, safe_open + keys()`, times: python },
    index: { ...reference, name: `${reference.name} and the index by json.load`, times: indexed },
  };
  const row = (
    id: string,
    label: string,
    own: typeof alone,
    figure: 'first' | 'further',
    { limit, peer = peers.shards }: { limit?: number; peer?: (typeof peers)['shards'] } = {},
  ) =>
    compare(
      { id: `${id}-${figure}`, what: `${WHAT}: ${label}`, unit: 'ms' },
      own[figure],
      seriesOf(peer, peer.times[figure]),
      { ratio: 'faster', limit },
    );
  const judged = { limit: FASTER_THAN_REFERENCE };
  const byIndex = { peer: peers.index };
  return [
    row('open', 'first open', alone, 'first', judged),
    row('open', 'further opens', alone, 'further', judged),
    row('open-indexed', 'first open', alone, 'first', byIndex),
    row('open-indexed', 'further opens', alone, 'further', byIndex),
    row('keys', 'first open and keys()', keys, 'first'),
    row('keys', 'further opens and keys()', keys, 'further'),
  ];
}

async function collections(
  folder: string,
  node: NodeChild,
  setting: Setting,
): Promise<Comparison[]> {
  const row = ({ id }: Heap, figure: string, what: string, unit: Unit): Row => ({
    id: `${id}-${figure}-${node.kind}`,
    what: `${WHAT}, ${node.name}, ${what}`,
    unit,
  });
  const { missing } = node;
  if (missing !== undefined) {
    const target = `≤ ${MOST_FULL_COLLECTIONS} GCs`;
    return HEAPS.flatMap((heap) => [
      notMeasured(row(heap, 'opening-gcs', OPENING_COLLECTIONS, 'GCs'), target, missing),
      notMeasured(row(heap, 'gcs', COLLECTIONS, 'GCs'), target, missing),
    ]);
  }
  setting.progress(`${WHAT}: all views, ${node.name}`);
  // Beside a large heap Node 20, which makes a buffer for each shard, takes half a minute.
  const heaps = setting.quick ? HEAPS.slice(0, 1) : HEAPS;
  const results = await interleave(
    setting.rounds,
    heaps.map(
      ({ megabytes }) =>
        () =>
          measure<ModelViewsResult>(node, 'model', folder, megabytes),
    ),
  );
  assertSameWork(
    WHAT,
    results.flat().map(({ checksum }) => checksum),
  );
  return results.flatMap((rounds, i) => {
    const size = `a heap of ${Math.round(median(rounds.map((round) => round.heap)) / 1e6)} MB`;
    const figure = (of: (result: ModelViewsResult) => number) => rounds.map(of);
    return [
      never(
        row(heaps[i], 'opening-gcs', `${size}: ${OPENING_COLLECTIONS}`, 'GCs'),
        figure((result) => result.openingCollections),
        MOST_FULL_COLLECTIONS,
      ),
      never(
        row(heaps[i], 'gcs', `${size}: ${COLLECTIONS}`, 'GCs'),
        figure((result) => result.fullCollections),
        MOST_FULL_COLLECTIONS,
      ),
      atMost(
        row(heaps[i], 'open', `${size}: opening it`, 'ms'),
        figure((result) => result.open),
      ),
      atMost(
        row(heaps[i], 'view', `${size}: viewing all tensors`, 'ms'),
        figure((result) => result.view),
      ),
    ];
  });
}

export const models: Trial = {
  name: 'models',
  title: 'A model of 163 shards and 685 GB, sparse, 91,985 tensors',
  explains: [
    'Shards and index as huggingface_hub and the reference write them. The reference opens the shards one after',
    'the other and asks for the names; it reads no index. We check the index against the shards too, as the peer',
    'does that reads it with json.load and looks whether each tensor is where it says.',
    'First open: in a fresh process, its JIT cold. Further opens: the median of those that follow in it.',
  ],
  run: async (setting) => {
    const folder = await deepSeekShards(setting.folder);
    const rows = await openTimes(folder, setting);
    for (const node of setting.nodes) rows.push(...(await collections(folder, node, setting)));
    return rows;
  },
};
