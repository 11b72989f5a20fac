import type { OpenResult } from '../drivers/results.ts';
import { assertSameWork, type Child, measure, unlessMissing } from '../harness/child.ts';
import { type Comparison, compare, median, type Series } from '../harness/compare.ts';
import { interleave } from '../harness/interleave.ts';
import { findRust } from '../harness/rust.ts';
import type { Setting, Trial } from '../harness/trial.ts';
import { deepSeekFile, gpt2File, llamaFile, shardFile } from './files.ts';

const FASTER_THAN_REFERENCE = 3;
const FASTER_THAN_CHECKED_JSON = 4;
const BIG_OPENS = { full: 11, quick: 3, tiny: 2 };
const SMALL_OPENS = { full: 300, quick: 100, tiny: 2 };

/** Both figures of a driver: the first open of each process, and the median of its further ones. */
interface Opens {
  first: Series;
  further: Series;
}

interface Opener {
  name: string;
  child: Child;
  task: string;
}

async function measureOpens(
  path: string,
  opens: number,
  rounds: number,
  openers: readonly Opener[],
): Promise<Opens[]> {
  const run = ({ child, task }: Opener) => measure<OpenResult>(child, task, path, opens);
  await run(openers[0]); // the file's pages and the programs' are in memory from here on
  const results = await interleave(
    rounds,
    openers.map((opener) => unlessMissing(opener.child, () => run(opener))),
  );
  assertSameWork(
    path,
    results.flat().map(({ checksum }) => checksum),
  );
  return results.map((ofOpener, i) => {
    const { name, child } = openers[i];
    const missing = child.missing === undefined ? {} : { missing: child.missing };
    return {
      first: { name, ...missing, samples: ofOpener.map(({ first }) => first) },
      further: { name, ...missing, samples: ofOpener.map(({ further }) => median(further)) },
    };
  });
}

/** Of both figures; the limit is held against those that are judged. */
function rows(
  { id, what }: { id: string; what: string },
  ours: Opens,
  peer: Opens,
  limit?: number,
  judged: readonly (keyof Opens)[] = [],
): Comparison[] {
  const labels = [
    ['first', 'first open'],
    ['further', 'further opens'],
  ] as const;
  return labels.map(([figure, label]) =>
    compare(
      { id: `${id}-${figure}`, what: `${what}: ${label}`, unit: 'ms' },
      ours[figure].samples,
      peer[figure],
      { ratio: 'faster', limit: judged.includes(figure) ? limit : undefined },
    ),
  );
}

const opener = (name: string, child: Child, task = 'open'): Opener => ({ name, child, task });

function sizeOf({ quick, tiny }: Setting): 'full' | 'quick' | 'tiny' {
  if (tiny) return 'tiny';
  return quick ? 'quick' : 'full';
}

async function bigHeader(setting: Setting): Promise<Comparison[]> {
  const { ours, jsonParse, reference, rounds } = setting;
  const what = 'DeepSeek-V3, 91,985 tensors';
  const path = await deepSeekFile(setting.folder);
  const rust = findRust(setting);
  setting.progress(what);
  const opens = BIG_OPENS[sizeOf(setting)];
  const [sync, async, checked, python, crate] = await measureOpens(path, opens, rounds, [
    opener('safeOpenSync', ours),
    opener('safeOpen', ours, 'open-async'),
    opener('JSON.parse + checks', jsonParse),
    opener(reference.name, reference),
    opener(rust.name, rust),
  ]);
  const both = ['first', 'further'] as const;
  return [
    ...rows({ id: 'deepseek-python', what }, sync, python, FASTER_THAN_REFERENCE, both),
    ...rows({ id: 'deepseek-async-python', what: `${what}, async` }, async, python),
    ...rows({ id: 'deepseek-json', what }, sync, checked, FASTER_THAN_CHECKED_JSON, both),
    ...rows({ id: 'deepseek-rust', what }, sync, crate),
  ];
}

/** A file, and whether it has to be opened as fast as `JSON.parse` alone reads its header. */
interface SmallFile {
  id: string;
  what: string;
  write: (folder: string) => Promise<string>;
  judged?: boolean;
}

const SMALL_FILES: readonly SmallFile[] = [
  { id: 'gpt2', what: 'GPT-2, 160 tensors', write: gpt2File },
  {
    id: 'shard',
    what: 'a shard of DeepSeek-V3, 565 tensors',
    write: shardFile,
    judged: true,
  },
  { id: 'llama', what: 'Llama 3.1 405B, 1,137 tensors', write: llamaFile },
];

async function smallHeader(file: SmallFile, setting: Setting): Promise<Comparison[]> {
  const { id, what, write, judged } = file;
  const { ours, jsonParse, reference, rounds } = setting;
  const path = await write(setting.folder);
  const rust = findRust(setting);
  setting.progress(what);
  const opens = SMALL_OPENS[sizeOf(setting)];
  const [sync, parsed, checked, python, crate] = await measureOpens(path, opens, rounds, [
    opener('safeOpenSync', ours),
    opener('JSON.parse alone', jsonParse, 'parse'),
    opener('JSON.parse + checks', jsonParse),
    opener(reference.name, reference),
    opener(rust.name, rust),
  ]);
  return [
    ...rows({ id: `${id}-parse`, what }, sync, parsed, 1, judged ? ['further'] : []),
    ...rows({ id: `${id}-json`, what }, sync, checked),
    ...rows({ id: `${id}-python`, what }, sync, python),
    ...rows({ id: `${id}-rust`, what }, sync, crate),
  ];
}

export const header: Trial = {
  name: 'header',
  title: 'Opening a file: the header',
  explains: [
    'First open: in a fresh process, its JIT cold; the addon and the modules were loaded before.',
    'Further opens: the median of those that follow in the same process. Closing is not timed.',
    'The targets of DeepSeek-V3 are held against both; that of a shard against further opens, since a',
    'process opens many. The peers read the file with node:fs.',
    'JSON.parse cannot see duplicate keys, nor tell 2.0 from 2: its checks are fewer.',
    'The readers of npm cannot do this: they take the bytes of the whole file.',
  ],
  run: async (setting) => {
    const results = [await bigHeader(setting)];
    for (const file of SMALL_FILES) results.push(await smallHeader(file, setting));
    return results.flat();
  },
};
