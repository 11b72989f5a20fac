import type { ExternalResult, LastResult, OpenResult } from '../drivers/results.ts';
import { assertSameWork, type Child, interleave, measure } from '../harness/child.ts';
import { atMost, type Comparison, compare, median } from '../harness/compare.ts';
import type { Setting, Trial } from '../harness/trial.ts';
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
  others: readonly { name: string; path: string; limit?: number }[],
): Promise<Comparison[]> {
  setting.progress('685 GB against small files');
  const opens = setting.quick ? 4 : 11;
  const results = await interleave(
    setting.rounds,
    [huge, ...others.map(({ path }) => path)].map(
      (path) => () => measure<OpenResult>(setting.ours, 'open', path, opens),
    ),
  );
  const firsts = results.map((rounds) => rounds.map(({ first }) => first));
  const furthers = results.map((rounds) => rounds.map(({ further }) => median(further)));
  return others.flatMap(({ name, limit }, i) => {
    const target = { ratio: 'cost' as const, ...(limit === undefined ? {} : { limit }) };
    return [
      compare('685 GB: first open', 'ms', firsts[0], { name, samples: firsts[i + 1] }, target),
      compare(
        '685 GB: further opens',
        'ms',
        furthers[0],
        { name, samples: furthers[i + 1] },
        { ratio: 'cost' },
      ),
    ];
  });
}

async function lastTensor(path: string, node: Child, setting: Setting): Promise<Comparison[]> {
  setting.progress(`the last tensor, ${node.name}`);
  const [lasts] = await interleave(setting.rounds, [
    () => measure<LastResult>(node, 'last', path, LAST_TENSOR),
  ]);
  const opens = [await measure<ExternalResult>(node, 'open', path)];
  assertSameWork('the last element', ['0', ...lasts.map(({ checksum }) => checksum)]);
  const what = `685 GB, ${node.name}`;
  const megabytes = (figure: 'opened' | 'viewed') => opens.map((open) => open[figure] / MEGABYTE);
  const collections = (phase: 'opening' | 'reading') =>
    lasts.map(({ fullCollections }) => fullCollections[phase]);
  return [
    atMost(
      `${what}: open and read the last element`,
      'ms',
      lasts.map(({ time }) => time),
    ),
    atMost(`${what}: full GCs of opening`, 'GCs', collections('opening')),
    atMost(`${what}: full GCs of reading it`, 'GCs', collections('reading'), MOST_FULL_COLLECTIONS),
    {
      ...atMost(`${what}: external memory by opening`, 'MB', megabytes('opened'), MOST_EXTERNAL_MB),
      note: 'no ArrayBuffer over the data: only the header and its table',
    },
    atMost(`${what}: external memory by the first view`, 'MB', megabytes('viewed')),
  ];
}

export const sparse: Trial = {
  name: 'sparse',
  title: 'A sparse file of 685 GB',
  explains: [
    'The small file of the target has as many tensors and as long a header: the size of the data is all that differs.',
    'The last element of the last tensor, in the last page of the file, must read 0.',
  ],
  run: async (setting) => {
    const { folder } = setting;
    const huge = await deepSeekFile(folder);
    const rows = await openTimes(setting, huge, [
      {
        name: 'a small file, same header',
        path: await smallFileLikeDeepSeek(folder),
        limit: SAME_TIME,
      },
      { name: 'GPT-2, 160 tensors', path: await gpt2File(folder) },
    ]);
    for (const node of setting.nodes) rows.push(...(await lastTensor(huge, node, setting)));
    return rows;
  },
};
