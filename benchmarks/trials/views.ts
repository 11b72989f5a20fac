import type { ViewsResult } from '../drivers/results.ts';
import { assertSameWork, measure } from '../harness/child.ts';
import {
  atMost,
  type Comparison,
  compare,
  never,
  notMeasured,
  type Row,
  type Unit,
} from '../harness/compare.ts';
import { interleave } from '../harness/interleave.ts';
import type { NodeChild, Setting, Trial } from '../harness/trial.ts';
import { deepSeekFile, gpt2File } from './files.ts';

const MOST_NS = 150;
/** At most one, for a file of any size. */
const MOST_FULL_COLLECTIONS = 1;

interface Model {
  /** For the ids of rows. */
  id: string;
  name: string;
  path: string;
  passes: number;
}

async function viewsOf(model: Model, node: NodeChild, setting: Setting): Promise<Comparison[]> {
  const what = `${model.name}, ${node.name}`;
  if (node.missing !== undefined) return ofMissing(model, node, node.missing);
  setting.progress(what);
  const tasks = ['data', 'array', 'get-tensor', 'both', 'collected', 'objects'];
  const results = await interleave(
    setting.rounds,
    tasks.map((task) => () => measure<ViewsResult>(node, task, model.path, model.passes)),
  );
  assertSameWork(
    what,
    results.flat().map(({ checksum }) => checksum),
  );
  const tensors = Number(results[0][0].checksum);
  const first = results.map((rounds) => rounds.map((result) => result.first));
  const further = results.map((rounds) => rounds.map((result) => steady(result.further)));
  const collections = (task: number, from: number, to?: number) =>
    results[task].map(({ fullCollections }) =>
      fullCollections.slice(from, to).reduce((a, b) => a + b, 0),
    );
  const peer = { name: 'new Float32Array(buffer, offset, length)', samples: further[1] };
  const objects = { name: 'the same, kept by an object each', samples: further[5] };
  const row = (id: string, label: string, unit: Unit): Row => ({
    id: `${model.id}-${id}-${node.kind}`,
    what: `${what}: ${label}`,
    unit,
  });
  return [
    atMost(row('data', 'tensor.data', 'ns'), further[0], MOST_NS),
    compare(row('data-array', 'tensor.data', 'ns'), further[0], peer, { ratio: 'cost' }),
    compare(row('data-objects', 'tensor.data', 'ns'), further[0], objects, { ratio: 'cost' }),
    atMost(row('collected', 'tensor.data, after full collections', 'ns'), further[4]),
    atMost(row('get', 'getTensor(name)', 'ns'), further[2]),
    atMost(row('get-data', 'getTensor(name).data', 'ns'), further[3]),
    atMost(row('first', 'first pass, tensor.data', 'ns'), first[0]),
    compare(
      row('first-array', 'first pass, tensor.data', 'ns'),
      first[0],
      { ...peer, samples: first[1] },
      { ratio: 'cost' },
    ),
    never(
      row('first-gcs', 'full GCs of the first pass', 'GCs'),
      collections(0, 0, 1),
      MOST_FULL_COLLECTIONS,
    ),
    atMost(
      row('further-gcs', `full GCs of ${model.passes - 1} further passes`, 'GCs'),
      collections(0, 1),
    ),
    atMost(row('peer-gcs', "full GCs of the peer's further passes", 'GCs'), collections(1, 1)),
    atMost(
      row('first-pass', 'the first pass over all tensors', 'ms'),
      first[0].map((ns) => (ns * tensors) / 1e6),
    ),
  ];
}

/** The mean of the later half: of compiled code, with its share of the scavenges. */
function steady(passes: readonly number[]): number {
  const later = passes.slice(passes.length >> 1);
  return later.reduce((sum, ns) => sum + ns, 0) / later.length;
}

/** The rows that pages show of each Node. */
function ofMissing({ id, name }: Model, node: NodeChild, reason: string): Comparison[] {
  const rows = [
    ['data', 'tensor.data', 'ns'],
    ['data-array', 'tensor.data', 'ns'],
    ['data-objects', 'tensor.data', 'ns'],
    ['collected', 'tensor.data, after full collections', 'ns'],
    ['get-data', 'getTensor(name).data', 'ns'],
    ['first-gcs', 'full GCs of the first pass', 'GCs'],
    ['first-pass', 'the first pass over all tensors', 'ms'],
  ] as const;
  return rows.map(([figure, label, unit]) =>
    notMeasured(
      { id: `${id}-${figure}-${node.kind}`, what: `${name}, ${node.name}: ${label}`, unit },
      undefined,
      reason,
    ),
  );
}

export const views: Trial = {
  name: 'views',
  title: 'Views: typed arrays of every tensor',
  explains: [
    'Nanoseconds a view, each pass over all tensors of the file, all views held until the next pass.',
    'Means of the later half of the passes, scavenges within them included. The target of 150 ns is held',
    'against those, of new tensors over windows that are there; beside it, passes each of which begins',
    'after a full collection, with cold caches and a young generation that was given back to the system.',
    'The first pass, in a fresh process, makes the windows too, and its full GCs are those of the target.',
    'Node 20 has no ArrayBuffer above 4 GiB: a larger file takes a window for each 4 GiB there.',
  ],
  run: async (setting) => {
    const { folder, quick, tiny } = setting;
    const passes = (full: number, few: number) => (tiny ? 2 : quick ? few : full);
    const models: Model[] = [
      { id: 'gpt2', name: 'GPT-2', path: await gpt2File(folder), passes: passes(1000, 200) },
      {
        id: 'deepseek',
        name: 'DeepSeek-V3, 685 GB',
        path: await deepSeekFile(folder),
        passes: passes(9, 5),
      },
    ];
    const rows: Comparison[] = [];
    for (const model of models) {
      for (const node of setting.nodes) rows.push(...(await viewsOf(model, node, setting)));
    }
    return rows;
  },
};
