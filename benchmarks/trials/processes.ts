import { sizeOf, totalBytes, writeWeights } from '../files/weights.ts';
import { assertSameWork, type Child, unlessMissing } from '../harness/child.ts';
import { makeWarm } from '../harness/cold.ts';
import { atMost, type Comparison, compare, point, type Series } from '../harness/compare.ts';
import { nodeDriver, pythonDriver } from '../harness/drivers.ts';
import { interleave } from '../harness/interleave.ts';
import { assertMemory } from '../harness/memory.ts';
import { findRust } from '../harness/rust.ts';
import { measureTogether } from '../harness/together.ts';
import type { Setting, Trial } from '../harness/trial.ts';
import { weights } from './files.ts';

const PROCESSES = 4;
/** Of the file, over what the processes take without it. */
const MOST = 1.05;

interface Holder {
  /** For the ids of rows. */
  id: string;
  name: string;
  child: Child;
  task: string;
}

function holders(setting: Setting): [ours: Holder, nothing: Holder, ...peers: Holder[]] {
  const hold = nodeDriver('hold', 'hold');
  const { reference } = setting;
  const rust = findRust(setting);
  return [
    { id: 'ours', name: 'safetensors-mmap', child: hold, task: 'ours' },
    { id: 'nothing', name: 'the same processes without a model', child: hold, task: 'nothing' },
    { id: 'read-file', name: 'fs.readFile and views', child: hold, task: 'read-file' },
    {
      id: 'python',
      name: `${reference.name}, load_file`,
      child: pythonDriver(reference, 'touch'),
      task: 'hold',
    },
    { id: 'rust', name: rust.name, child: rust, task: 'hold' },
  ];
}

async function run(setting: Setting): Promise<Comparison[]> {
  const file = weights(setting, 'shared');
  const bytes = totalBytes(file);
  assertMemory((PROCESSES + 1) * bytes);
  const path = writeWeights(setting.folder, file);
  await makeWarm(path);
  const what = `${PROCESSES} processes, ${sizeOf(file)}`;
  const all = holders(setting);
  setting.progress(what);
  const results = await interleave(
    setting.rounds,
    all.map(({ child, task }) =>
      unlessMissing(child, () => measureTogether(child, PROCESSES, task, path)),
    ),
  );
  const reads = results.filter((_, i) => all[i].id !== 'nothing').flat();
  assertSameWork(
    what,
    reads.flatMap(({ checksums }) => checksums),
  );
  const series = results.map((rounds, i): Series => {
    const { name, child } = all[i];
    const samples = rounds.map(({ pss }) => pss / 1e6);
    return child.missing === undefined
      ? { name, samples }
      : { name, samples, missing: child.missing };
  });
  const [{ samples: ours }, { samples: nothing }, ...peers] = series;
  setting.draw({
    name: 'processes',
    title: `${what}: memory of all together (PSS)`,
    unit: 'MB',
    kind: 'bars',
    points: [series[0], ...peers, series[1]].map((one) => point(one)),
  });
  return [
    compare(
      {
        id: 'pss-over-file',
        what: `${what}: PSS of all, less what they take without it`,
        unit: 'MB',
      },
      ours.map((own, round) => own - nothing[round]),
      { name: 'the file', samples: ours.map(() => bytes / 1e6) },
      { ratio: 'cost', limit: MOST },
    ),
    ...peers.map((peer, i) =>
      compare({ id: `pss-${all[i + 2].id}`, what: `${what}: PSS of all`, unit: 'MB' }, ours, peer, {
        ratio: 'cost',
      }),
    ),
    atMost({ id: 'pss-nothing', what: `${what}: PSS of all without a model`, unit: 'MB' }, nothing),
  ];
}

export const processes: Trial = {
  name: 'processes',
  title: 'One model in four processes',
  explains: [
    'Each opens the file, touches every page of all tensors, and holds them; then the proportional set sizes',
    'are summed. Without a model: the same program, which has loaded the package. A Python or a program in Rust',
    'takes less than a Node without a model.',
  ],
  run,
};
