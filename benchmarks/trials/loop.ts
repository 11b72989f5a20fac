import type { LoopResult } from '../drivers/results.ts';
import { sizeOf, totalBytes, writeWeights } from '../files/weights.ts';
import { measure } from '../harness/child.ts';
import { makeCold } from '../harness/cold.ts';
import { atMost, type Comparison, never } from '../harness/compare.ts';
import { nodeDriver } from '../harness/drivers.ts';
import { interleave } from '../harness/interleave.ts';
import { assertMemory } from '../harness/memory.ts';
import type { Setting, Trial } from '../harness/trial.ts';
import { weights } from './files.ts';

const MOST_MS = 20;
/** All of it, but for what a system that pages out on its own (DAMON's schemes) has already taken again. */
const LEAST_RESIDENT = 0.99;

async function run(setting: Setting): Promise<Comparison[]> {
  const file = weights(setting, 'large');
  assertMemory(totalBytes(file));
  const path = writeWeights(setting.folder, file);
  const what = `${sizeOf(file)}, cold, prefetch()`;
  setting.progress(what);
  const driver = nodeDriver('loop', 'loop');
  const [results] = await interleave(
    setting.rounds,
    [
      async () => {
        await makeCold(path);
        return measure<LoopResult>(driver, 'prefetch', path);
      },
    ],
    totalBytes(file),
  );
  const resident = Math.min(...results.map((result) => result.resident));
  if (resident < LEAST_RESIDENT) throw new Error(`${what}: ${resident} of it is in memory then`);
  const figure = (of: (result: LoopResult) => number) => results.map(of);
  return [
    never(
      { id: 'delay-p99', what: `${what}: delay of the event loop, 99th percentile`, unit: 'ms' },
      figure(({ delay }) => delay),
      MOST_MS,
    ),
    atMost(
      { id: 'delay-longest', what: `${what}: longest delay`, unit: 'ms' },
      figure(({ longest }) => longest),
    ),
    atMost(
      { id: 'time', what: `${what}: time`, unit: 'ms' },
      figure(({ time }) => time),
    ),
  ];
}

export const loop: Trial = {
  name: 'loop',
  title: 'The event loop while a cold file is prefetched',
  explains: [
    'As perf_hooks.monitorEventLoopDelay has it, looked at every millisecond. What must never be is held against',
    'the worst of the rounds.',
  ],
  run,
};
