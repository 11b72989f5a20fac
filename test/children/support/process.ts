import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** What this process holds of a file, and in all. Linux tells; elsewhere these are `undefined`. */
export interface Holdings {
  descriptors: number | undefined;
  mappings: number | undefined;
  rssBytes: number;
}

export function holdings(path: string): Holdings {
  const linux = process.platform === 'linux';
  return {
    descriptors: linux ? readdirSync('/proc/self/fd').length : undefined,
    mappings: linux
      ? readFileSync('/proc/self/maps', 'utf8')
          .split('\n')
          .filter((line) => line.includes(path)).length
      : undefined,
    rssBytes: process.memoryUsage().rss,
  };
}

/** Collects garbage and lets finalizers run, which take turns of the event loop. Needs --expose-gc. */
export async function collectGarbage(): Promise<void> {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc');
  for (let round = 0; round < 10; round++) {
    globalThis.gc();
    await nextTurn();
  }
}

const STRETCHES = 4;

/**
 * What the process holds before rounds, and after each of the stretches that they are run in, its
 * garbage collected: see `expectNoLeak`. Needs --expose-gc.
 */
export async function holdingsOverRounds(
  path: string,
  rounds: number,
  run: (rounds: number) => void | Promise<void>,
): Promise<Holdings[]> {
  await collectGarbage();
  const held = [holdings(path)];
  for (let stretch = 0; stretch < STRETCHES; stretch++) {
    const [from, to] = [stretch, stretch + 1].map((i) => Math.round((rounds * i) / STRETCHES));
    await run(to - from);
    await collectGarbage();
    held.push(holdings(path));
  }
  return held;
}
