import { setImmediate } from 'node:timers/promises';

/** Work that may be interrupted wherever it yields. */
export type Steps<T> = Generator<void, T, void>;

/** Tensors that are dealt with in one step: a fraction of a millisecond. */
export const STEP_TENSORS = 256;

/** For so long, steps are done one right after another: then other work of the event loop has its turn. */
const TURN_MS = 2;

/** All steps at once. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/**
 * All steps, so that the event loop does not stand still for a model of many tensors. What is over soon is
 * over before the caller goes on.
 *
 * @throws the reason of the signal, and whatever a step throws
 */
export async function withPauses<T>(steps: Steps<T>, signal: AbortSignal | undefined): Promise<T> {
  let begun = performance.now();
  try {
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      if (performance.now() - begun < TURN_MS) continue;
      await setImmediate();
      signal?.throwIfAborted();
      begun = performance.now();
    }
  } finally {
    // Iterables of the caller's are told that they are not asked any more.
    steps.return(undefined as never);
  }
}
