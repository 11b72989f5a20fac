import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

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

const STRETCHES = 5;

/** V8 frees the memory of buffers on a thread of its own, in its own time: it is waited for while it does. */
const QUIET_LOOKS = 3;
const MOST_LOOKS = 50;
const PAUSE_MS = 10;

async function settledHoldings(path: string): Promise<Holdings> {
  await collectGarbage();
  let held = holdings(path);
  for (let looks = 0, quiet = 0; quiet < QUIET_LOOKS && looks < MOST_LOOKS; looks++) {
    await sleep(PAUSE_MS);
    await collectGarbage();
    const now = holdings(path);
    quiet = now.rssBytes < held.rssBytes ? 0 : quiet + 1;
    held = now;
  }
  return held;
}

/**
 * What the process holds before rounds, and after each of the stretches that they are run in, its
 * garbage collected: see `expectNoLeak`. Needs --expose-gc.
 */
export async function holdingsOverRounds(
  path: string,
  rounds: number,
  run: (rounds: number) => void | Promise<void>,
): Promise<Holdings[]> {
  const held = [await settledHoldings(path)];
  for (let stretch = 0; stretch < STRETCHES; stretch++) {
    const [from, to] = [stretch, stretch + 1].map((i) => Math.round((rounds * i) / STRETCHES));
    await run(to - from);
    held.push(await settledHoldings(path));
  }
  return held;
}
