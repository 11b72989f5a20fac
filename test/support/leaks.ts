import { expect } from 'vitest';
import type { Holdings } from '../children/support/process.ts';
import { growthBound } from './bounds.ts';

/**
 * Of what a process held before rounds and after each stretch of them: no descriptor more, so many
 * mappings of the file (`undefined` where nobody tells), and memory that did not grow by so many bytes
 * in a stretch, as a rule. A leak grows in all of them. The first does not count, in which the process
 * still gets what it needs; of the others the median does, since a heap that V8 or the allocator made
 * larger has grown in one.
 */
export function expectNoLeak(
  held: readonly Holdings[],
  mappings: number,
  growthBytes: number,
): void {
  expect(held.length).toBeGreaterThan(2);
  const [before, ...later] = held;
  const after = later.at(-1);
  expect(after?.descriptors).toBe(before.descriptors);
  if (process.platform === 'linux') expect(after?.mappings).toBe(mappings);
  const growths = later.map(({ rssBytes }, i) => rssBytes - held[i].rssBytes);
  const settled = growths.slice(1).sort((a, b) => a - b);
  const usual = settled[Math.floor((settled.length - 1) / 2)];
  expect(usual, `${growths}`).toBeLessThan(growthBound(growthBytes));
}
