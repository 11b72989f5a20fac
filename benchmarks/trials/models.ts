import type { ModelViewsResult, OpenResult } from '../drivers/results.ts';
import { assertSameWork, type Child, interleave, measure } from '../harness/child.ts';
import { atMost, type Comparison, compare, median, notMeasured } from '../harness/compare.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';
import { deepSeekShards } from './files.ts';

const FASTER_THAN_REFERENCE = 3;
const MOST_FULL_COLLECTIONS = 1;
const OPENS = { full: 11, quick: 2 };
/** A process that has nothing else, and one that has a heap as large programs have. */
const HEAPS_MB = [0, 160];
/** A heap of 150 MB costs Node 20 twenty seconds a round. */
const COLLECTION_ROUNDS = 3;
const WHAT = 'DeepSeek-V3, 163 shards';

async function openTimes(folder: string, setting: Setting): Promise<Comparison[]> {
  const { ours, reference, rounds, quick } = setting;
  if (reference instanceof NotMeasured) {
    const target = `≥ ${FASTER_THAN_REFERENCE}× faster`;
    return [notMeasured(`${WHAT}, against the reference`, target, reference.message)];
  }
  setting.progress(WHAT);
  const opens = quick ? OPENS.quick : OPENS.full;
  const open = (child: Child, task: string) => () =>
    measure<OpenResult>(child, task, folder, opens);
  await open(ours, 'open-model')(); // the files' pages and the programs' are in memory from here on
  const results = await interleave(rounds, [
    open(ours, 'open-model'),
    open(ours, 'open-model-keys'),
    open(reference, 'open-model'),
  ]);
  assertSameWork(
    WHAT,
    results.flat().map(({ checksum }) => checksum),
  );
  const [alone, keys, python] = results.map((ofTask) => ({
    first: ofTask.map(({ first }) => first),
    further: ofTask.map(({ further }) => median(further)),
  }));
  const peer = `${reference.name}, safe_open + keys()`;
  const row = (label: string, own: number[], other: number[], limit?: number) =>
    compare(
      `${WHAT}: ${label}`,
      'ms',
      own,
      { name: peer, samples: other },
      { ratio: 'faster', ...(limit === undefined ? {} : { limit }) },
    );
  return [
    row('first open', alone.first, python.first, FASTER_THAN_REFERENCE),
    row('further opens', alone.further, python.further, FASTER_THAN_REFERENCE),
    row('first open and keys()', keys.first, python.first),
    row('further opens and keys()', keys.further, python.further),
  ];
}

async function collections(folder: string, node: Child, setting: Setting): Promise<Comparison[]> {
  setting.progress(`${WHAT}: all views, ${node.name}`);
  const results = await interleave(
    setting.quick ? 1 : COLLECTION_ROUNDS,
    // Beside a large heap Node 20, which makes a buffer for each shard, takes half a minute.
    (setting.quick ? HEAPS_MB.slice(0, 1) : HEAPS_MB).map(
      (heap) => () => measure<ModelViewsResult>(node, 'model', folder, heap),
    ),
  );
  return results.flatMap((rounds) => {
    const heap = Math.round(median(rounds.map((round) => round.heap)) / 1e6);
    const what = `${WHAT}, ${node.name}, a heap of ${heap} MB`;
    const figure = (of: (result: ModelViewsResult) => number) => rounds.map(of);
    return [
      atMost(
        `${what}: full GCs of opening it and viewing all tensors`,
        'GCs',
        figure((result) => result.fullCollections),
        MOST_FULL_COLLECTIONS,
      ),
      atMost(
        `${what}: opening it`,
        'ms',
        figure((result) => result.open),
      ),
      atMost(
        `${what}: viewing all tensors`,
        'ms',
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
    'the other and asks for the names; it reads no index. We check the index against the shards too.',
    'First open: in a fresh process, its JIT cold. Further opens: the median of those that follow in it.',
  ],
  run: async (setting) => {
    const folder = await deepSeekShards(setting.folder);
    const rows = await openTimes(folder, setting);
    for (const node of setting.nodes) rows.push(...(await collections(folder, node, setting)));
    return rows;
  },
};
