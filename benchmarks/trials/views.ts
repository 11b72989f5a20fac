import type { ViewsResult } from '../drivers/results.ts';
import { assertSameWork, type Child, interleave, measure } from '../harness/child.ts';
import { atMost, type Comparison, compare, median } from '../harness/compare.ts';
import type { Setting, Trial } from '../harness/trial.ts';
import { deepSeekFile, gpt2File } from './files.ts';

const MOST_NS = 150;
/** At most one, for a file of any size. */
const MOST_FULL_COLLECTIONS = 1;

interface Model {
  name: string;
  path: string;
  passes: number;
}

async function viewsOf(model: Model, node: Child, setting: Setting): Promise<Comparison[]> {
  const what = `${model.name}, ${node.name}`;
  setting.progress(what);
  const tasks = ['data', 'array', 'get-tensor', 'both'];
  const results = await interleave(
    setting.rounds,
    tasks.map((task) => () => measure<ViewsResult>(node, task, model.path, model.passes)),
  );
  assertSameWork(
    what,
    results.flat().map(({ checksum }) => checksum),
  );
  const first = results.map((rounds) => rounds.map((result) => result.first));
  const further = results.map((rounds) => rounds.map((result) => median(result.further)));
  const collections = (task: number, from: number, to?: number) =>
    results[task].map(({ fullCollections }) =>
      fullCollections.slice(from, to).reduce((a, b) => a + b, 0),
    );
  const peer = { name: 'new Float32Array(buffer, offset, length)', samples: further[1] };
  return [
    atMost(`${what}: tensor.data`, 'ns', further[0], MOST_NS),
    compare(`${what}: tensor.data`, 'ns', further[0], peer, { ratio: 'cost' }),
    atMost(`${what}: getTensor(name)`, 'ns', further[2]),
    atMost(`${what}: getTensor(name).data`, 'ns', further[3]),
    atMost(`${what}: first pass, tensor.data`, 'ns', first[0]),
    compare(
      `${what}: first pass, tensor.data`,
      'ns',
      first[0],
      { ...peer, samples: first[1] },
      { ratio: 'cost' },
    ),
    atMost(
      `${what}: full GCs of the first pass`,
      'GCs',
      collections(0, 0, 1),
      MOST_FULL_COLLECTIONS,
    ),
    atMost(`${what}: full GCs of ${model.passes - 1} further passes`, 'GCs', collections(0, 1)),
    atMost(`${what}: full GCs of the peer's further passes`, 'GCs', collections(1, 1)),
  ];
}

export const views: Trial = {
  name: 'views',
  title: 'Views: typed arrays of every tensor',
  explains: [
    'Nanoseconds a view, each pass over all tensors of the file, all views held until the next pass.',
    'The garbage of earlier passes is collected between them, untimed; scavenges within a pass count.',
    'The target of 150 ns is held against further passes, of new tensors over windows that are there;',
    'the first pass, in a fresh process, makes the windows too, and its full GCs are those of the target.',
    'Node 20 has no ArrayBuffer above 4 GiB: a larger file takes a window for each 4 GiB there.',
  ],
  run: async (setting) => {
    const { folder, quick } = setting;
    const models: Model[] = [
      { name: 'GPT-2', path: await gpt2File(folder), passes: quick ? 100 : 200 },
      { name: 'DeepSeek-V3, 685 GB', path: await deepSeekFile(folder), passes: quick ? 5 : 12 },
    ];
    const rows: Comparison[] = [];
    for (const model of models) {
      for (const node of setting.nodes) rows.push(...(await viewsOf(model, node, setting)));
    }
    return rows;
  },
};
