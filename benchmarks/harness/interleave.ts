import type { Task } from './child.ts';
import { seededRandom } from './random.ts';
import { readyMemory } from './ready-memory.ts';

/**
 * Runs every task once a round, one after the other, so that whatever else the machine does meets
 * them all alike; in another order each round, because what a task finds (memory that is free at once,
 * a disk that is done) is what the one before has left. Result: for each task its result of every round;
 * of one that is missing, no results.
 *
 * @param memory Bytes that are made ready before each task: what it takes beside the process itself, the page cache
 *   of its files included.
 */
export async function interleave<Result>(
  rounds: number,
  tasks: readonly Task<Result>[],
  memory = 0,
): Promise<Result[][]> {
  const results: Result[][] = tasks.map(() => []);
  const next = seededRandom();
  for (let round = 0; round < rounds; round++) {
    for (const i of shuffled(tasks.length, next)) {
      const task = tasks[i];
      if (task === undefined) continue;
      await readyMemory(memory);
      results[i].push(await task());
    }
  }
  return results;
}

/** The numbers below `count` in an order of chance. */
function shuffled(count: number, next: () => number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let left = count; left > 1; left--) {
    const i = next() % left;
    [order[left - 1], order[i]] = [order[i], order[left - 1]];
  }
  return order;
}
