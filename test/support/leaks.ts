import { expect } from 'vitest';
import type { Holdings } from '../children/support/process.ts';
import { growthBound } from './bounds.ts';

/**
 * Of what a process held before rounds and after each stretch of them: no descriptor more, so many
 * mappings of the file (`undefined` where nobody tells), and memory that did not grow by so many bytes
 * in each stretch. A leak grows in all of them. The first does not count, in which the process still gets
 * what it needs; of the others the least growth does: V8 lets tens of megabytes of buffers be garbage at a
 * time, and the allocator keeps what one stretch had of them, and gives it back in another.
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
  const least = Math.min(...growths.slice(1));
  expect(least, `${growths}`).toBeLessThan(growthBound(growthBytes));
}
