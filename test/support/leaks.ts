import { expect } from 'vitest';
import type { Holdings } from '../children/support/process.ts';
import { growthBound } from './bounds.ts';

/**
 * Of what a process held before rounds and after each stretch of them: no descriptor more, so many
 * mappings of the file (`undefined` where nobody tells), and memory that did not grow by so many bytes
 * in every stretch. A leak grows in all of them; a heap that V8 or the allocator made larger has
 * grown in one.
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
  expect(Math.min(...growths), `${growths}`).toBeLessThan(growthBound(growthBytes));
}
