import { sizeOf, totalBytes, writeWeights } from '../files/weights.ts';
import { assertSameWork, interleave } from '../harness/child.ts';
import { makeWarm } from '../harness/cold.ts';
import { atMost, type Comparison, compare, point } from '../harness/compare.ts';
import { nodeDriver } from '../harness/drivers.ts';
import { assertMemory } from '../harness/memory.ts';
import { measureTogether } from '../harness/together.ts';
import type { Setting, Trial } from '../harness/trial.ts';
import { weights } from './files.ts';

const PROCESSES = 4;
/** Of the file, over what the processes take without it. */
const MOST = 1.05;
const TASKS = ['ours', 'nothing', 'read-file'] as const;
/** Memory hardly varies: more rounds would show the same. */
const ROUNDS = 3;

async function run(setting: Setting): Promise<Comparison[]> {
  const file = weights(setting, 'shared');
  const bytes = totalBytes(file);
  assertMemory((PROCESSES + 1) * bytes);
  const path = writeWeights(setting.folder, file);
  await makeWarm(path);
  const what = `${PROCESSES} processes, ${sizeOf(file)}`;
  setting.progress(what);
  const hold = nodeDriver('hold', 'hold');
  const results = await interleave(
    setting.quick ? 1 : Math.min(ROUNDS, setting.rounds),
    TASKS.map((task) => () => measureTogether(hold, PROCESSES, task, path)),
  );
  const [ours, nothing, readFile] = results.map((rounds) => rounds.map(({ pss }) => pss / 1e6));
  const [first, , other] = results;
  assertSameWork(
    what,
    [...first, ...other].flatMap(({ checksums }) => checksums),
  );
  const fileSize = ours.map(() => bytes / 1e6);
  const peer = { name: 'fs.readFile and views', samples: readFile };
  setting.draw({
    name: 'processes',
    title: `${what}: memory of all together (PSS)`,
    unit: 'MB',
    kind: 'bars',
    points: [
      point('safetensors-mmap', ours),
      point(peer.name, readFile),
      point('the same processes without a model', nothing),
    ],
  });
  return [
    compare(
      `${what}: PSS of all, less what they take without it`,
      'MB',
      ours.map((own, round) => own - nothing[round]),
      { name: 'the file', samples: fileSize },
      { ratio: 'cost', limit: MOST },
    ),
    compare(`${what}: PSS of all`, 'MB', ours, peer, { ratio: 'cost' }),
    atMost(`${what}: PSS of all without a model`, 'MB', nothing),
  ];
}

export const processes: Trial = {
  name: 'processes',
  title: 'One model in four processes',
  explains: [
    'Each opens the file, touches every page of all tensors, and holds them; then the proportional set sizes',
    'are summed. Without a model: the same program, which has loaded the package.',
  ],
  run,
};
