import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';

/** Start times of full GCs; Node tells of them some turns of the event loop later. */
export class FullCollections {
  readonly #starts: number[] = [];
  readonly #observer = new PerformanceObserver((list) => this.#note(list.getEntries()));

  constructor() {
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  #note(entries: readonly PerformanceEntry[]): void {
    for (const entry of entries) {
      const { detail, startTime } = entry as PerformanceEntry & { detail: { kind: number } };
      if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) this.#starts.push(startTime);
    }
  }

  async between(start: number, end: number): Promise<number> {
    for (let turn = 0; turn < 3; turn++) await setImmediate();
    this.#note(this.#observer.takeRecords());
    return this.#starts.filter((at) => at >= start && at < end).length;
  }
}
