import type { ExternalResult, LastResult, OpenResult } from '../drivers/results.ts';
import { assertSameWork, measure } from '../harness/child.ts';
import {
  atMost,
  type Comparison,
  compare,
  median,
  never,
  type Row,
  type Unit,
} from '../harness/compare.ts';
import { interleave } from '../harness/interleave.ts';
import type { NodeChild, Setting, Trial } from '../harness/trial.ts';
import { deepSeekFile, gpt2File, smallFileLikeDeepSeek } from './files.ts';

/** "The same time": the median of the ratios is within the noise of one machine. */
const SAME_TIME = 1.1;
const MOST_FULL_COLLECTIONS = 1;
const MEGABYTE = 1e6;
/** Of DeepSeek-V3. */
const LAST_TENSOR = 'lm_head.weight';
/** More than the header's table takes; far less than any buffer over the data. */
const MOST_EXTERNAL_MB = 64;

async function openTimes(
  setting: Setting,
  huge: string,
  others: readonly { id: string; name: string; path: string; limit?: number }[],
): Promise<Comparison[]> {
  setting.progress('685 GB against small files');
  const opens = setting.tiny ? 2 : setting.quick ? 4 : 11;
  const results = await interleave(
    setting.rounds,
    [huge, ...others.map(({ path }) => path)].map(
      (path) => () => measure<OpenResult>(setting.ours, 'open', path, opens),
    ),
  );
  const firsts = results.map((rounds) => rounds.map(({ first }) => first));
  const furthers = results.map((rounds) => rounds.map(({ further }) => median(further)));
  return others.flatMap(({ id, name, limit }, i) => {
    const row = (figure: string, what: string) =>
      ({ id: `${id}-${figure}`, what: `685 GB: ${what}`, unit: 'ms' }) as const;
    return [
      compare(
        row('first', 'first open'),
        firsts[0],
        { name, samples: firsts[i + 1] },
        { ratio: 'cost', limit },
      ),
      compare(
        row('further', 'further opens'),
        furthers[0],
        { name, samples: furthers[i + 1] },
        { ratio: 'cost' },
      ),
    ];
  });
}

async function lastTensor(path: string, node: NodeChild, setting: Setting): Promise<Comparison[]> {
  setting.progress(`the last tensor, ${node.name}`);
  const [lasts] = await interleave(setting.rounds, [
    () => measure<LastResult>(node, 'last', path, LAST_TENSOR),
  ]);
  // External memory is the same each time.
  const opens = [await measure<ExternalResult>(node, 'open', path)];
  assertSameWork('the last element', ['0', ...lasts.map(({ checksum }) => checksum)]);
  const what = `685 GB, ${node.name}`;
  const megabytes = (figure: 'opened' | 'viewed') => opens.map((open) => open[figure] / MEGABYTE);
  const collections = (phase: 'opening' | 'reading') =>
    lasts.map(({ fullCollections }) => fullCollections[phase]);
  const row = (id: string, label: string, unit: Unit): Row => ({
    id: `${id}-${node.kind}`,
    what: `${what}: ${label}`,
    unit,
  });
  return [
    atMost(
      row('last', 'open and read the last element', 'ms'),
      lasts.map(({ time }) => time),
    ),
    atMost(row('opening-gcs', 'full GCs of opening', 'GCs'), collections('opening')),
    never(
      row('reading-gcs', 'full GCs of reading it', 'GCs'),
      collections('reading'),
      MOST_FULL_COLLECTIONS,
    ),
    {
      ...atMost(
        row('external', 'external memory by opening', 'MB'),
        megabytes('opened'),
        MOST_EXTERNAL_MB,
      ),
      note: 'no ArrayBuffer over the data: only the header and its table',
    },
    atMost(row('external-view', 'external memory by the first view', 'MB'), megabytes('viewed')),
  ];
}

export const sparse: Trial = {
  name: 'sparse',
  title: 'A sparse file of 685 GB',
  explains: [
    'The small file of the target has 0.3 GB, as many tensors and as long a header: last dimensions are those of the large',
    'file, the others are 1; what these and shorter offsets save is in the names.',
    'The last element of the last tensor, in the last page of the file, must read 0.',
  ],
  run: async (setting) => {
    const { folder } = setting;
    const huge = await deepSeekFile(folder);
    const rows = await openTimes(setting, huge, [
      {
        id: 'same-header',
        name: 'a small file, same header',
        path: await smallFileLikeDeepSeek(folder),
        limit: SAME_TIME,
      },
      { id: 'gpt2', name: 'GPT-2, 160 tensors', path: await gpt2File(folder) },
    ]);
    for (const node of setting.nodes) {
      if (node.missing === undefined) rows.push(...(await lastTensor(huge, node, setting)));
    }
    return rows;
  },
};
