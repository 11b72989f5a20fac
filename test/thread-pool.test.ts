import { expect, it, vi } from 'vitest';
import { runLanes } from '../src/decode/lanes.ts';
import { LANES } from '../src/storage/gathering.ts';

vi.mock('node:os', async (original) => ({
  ...(await original<typeof import('node:os')>()),
  availableParallelism: () => 64,
}));

/** Of libuv, unless UV_THREADPOOL_SIZE says otherwise. */
const THREADS = 4;

it('leaves a thread to others while tensors are decoded', async () => {
  let most = 0;
  let underWay = 0;
  const work = async () => {
    most = Math.max(most, ++underWay);
    await new Promise(setImmediate);
    underWay--;
  };
  await runLanes(new Array<[]>(20).fill([]).values(), work, {});
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThan(THREADS);
});

it('… and while slices are copied', () => {
  expect(LANES).toBeLessThan(THREADS);
});
