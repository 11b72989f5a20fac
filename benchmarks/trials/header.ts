import type { OpenResult } from '../drivers/results.ts';
import { assertSameWork, type Child, interleave, measure } from '../harness/child.ts';
import { type Comparison, compare, median, notMeasured } from '../harness/compare.ts';
import { NotMeasured, type Setting, type Trial } from '../harness/trial.ts';
import { deepSeekFile, gpt2File, llamaFile, shardFile } from './files.ts';

const FASTER_THAN_REFERENCE = 3;
const FASTER_THAN_CHECKED_JSON = 4;
const BIG_OPENS = { full: 11, quick: 3 };
const SMALL_OPENS = { full: 300, quick: 100 };

/** Both figures of a driver: the first open of each process, and the median of its further ones. */
interface Opens {
  name: string;
  first: number[];
  further: number[];
}

type Task = [name: string, child: Child, task: string];

async function measureOpens(
  path: string,
  opens: number,
  rounds: number,
  tasks: readonly Task[],
): Promise<Opens[]> {
  const run = ([, child, task]: Task) => measure<OpenResult>(child, task, path, opens);
  await run(tasks[0]); // the file's pages and the programs' are in memory from here on
  const results = await interleave(
    rounds,
    tasks.map((task) => () => run(task)),
  );
  assertSameWork(
    path,
    results.flat().map(({ checksum }) => checksum),
  );
  return results.map((ofTask, i) => ({
    name: tasks[i][0],
    first: ofTask.map(({ first }) => first),
    further: ofTask.map(({ further }) => median(further)),
  }));
}

/** Rows of both figures; the limit is held against those that are judged. */
function rows(
  what: string,
  ours: Opens,
  peer: Opens,
  limit: number | undefined,
  judged: readonly ('first' | 'further')[],
): Comparison[] {
  const row = (figure: 'first' | 'further', label: string) =>
    compare(
      `${what}: ${label}`,
      'ms',
      ours[figure],
      { name: peer.name, samples: peer[figure] },
      {
        ratio: 'faster',
        ...(judged.includes(figure) && limit !== undefined ? { limit } : {}),
      },
    );
  return [row('first', 'first open'), row('further', 'further opens')];
}

async function bigHeader(setting: Setting): Promise<Comparison[]> {
  const { ours, jsonParse, reference, rounds, quick } = setting;
  const what = 'DeepSeek-V3, 91,985 tensors';
  const path = await deepSeekFile(setting.folder);
  const tasks: Task[] = [
    ['safeOpenSync', ours, 'open'],
    ['safeOpen', ours, 'open-async'],
    ['JSON.parse + checks', jsonParse, 'open'],
  ];
  if (!(reference instanceof NotMeasured)) tasks.push([reference.name, reference, 'open']);
  setting.progress(what);
  const opens = quick ? BIG_OPENS.quick : BIG_OPENS.full;
  const [sync, async, json, python] = await measureOpens(path, opens, rounds, tasks);
  const target = `≥ ${FASTER_THAN_REFERENCE}× faster`;
  return [
    ...(reference instanceof NotMeasured
      ? [notMeasured(`${what}, against the reference`, target, reference.message)]
      : [
          ...rows(what, sync, python, FASTER_THAN_REFERENCE, ['first', 'further']),
          ...rows(`${what}, async`, async, python, undefined, []),
        ]),
    ...rows(what, sync, json, FASTER_THAN_CHECKED_JSON, ['first', 'further']),
  ];
}

/** A file, and whether it has to be opened as fast as `JSON.parse` alone reads its header. */
type SmallFile = [what: string, write: (folder: string) => Promise<string>, judged?: boolean];

const SMALL_FILES: readonly SmallFile[] = [
  ['GPT-2, 160 tensors', gpt2File],
  ['a shard of DeepSeek-V3, 565 tensors', shardFile, true],
  ['Llama 3.1 405B, 1,137 tensors', llamaFile],
];

async function smallHeader(
  [what, write, judged]: SmallFile,
  setting: Setting,
): Promise<Comparison[]> {
  const { ours, jsonParse, reference, rounds, quick } = setting;
  const path = await write(setting.folder);
  const tasks: Task[] = [
    ['safeOpenSync', ours, 'open'],
    ['JSON.parse alone', jsonParse, 'parse'],
    ['JSON.parse + checks', jsonParse, 'open'],
  ];
  if (!(reference instanceof NotMeasured)) tasks.push([reference.name, reference, 'open']);
  setting.progress(what);
  const opens = quick ? SMALL_OPENS.quick : SMALL_OPENS.full;
  const [sync, parsed, checked, python] = await measureOpens(path, opens, rounds, tasks);
  return [
    ...rows(what, sync, parsed, 1, judged ? ['further'] : []),
    ...rows(what, sync, checked, undefined, []),
    ...(python === undefined ? [] : rows(what, sync, python, undefined, [])),
  ];
}

export const header: Trial = {
  name: 'header',
  title: 'Opening a file: the header',
  explains: [
    'First open: in a fresh process, its JIT cold; the addon is loaded in it, modules were imported before.',
    'Further opens: the median of those that follow in the same process. Closing is not timed.',
    'The targets of DeepSeek-V3 are held against both; that of a shard against further opens, since a',
    'process opens many. The peers read the file with node:fs.',
    'JSON.parse cannot see duplicate keys, nor tell 2.0 from 2: its checks are fewer.',
  ],
  run: async (setting) => {
    const results = [await bigHeader(setting)];
    for (const file of SMALL_FILES) results.push(await smallHeader(file, setting));
    return results.flat();
  },
};
