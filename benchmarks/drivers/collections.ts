import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';

export interface Collections {
  /** Full ones: mark-sweep-compact. */
  full: number;
  /** Of any kind. */
  all: number;
  /** Milliseconds that they stopped the program for, together. */
  pause: number;
}

interface Collection {
  start: number;
  duration: number;
  full: boolean;
}

/** Garbage collections of this process; Node tells of them some turns of the event loop later. */
export class CollectionObserver {
  readonly #seen: Collection[] = [];
  readonly #observer = new PerformanceObserver((list) => this.#note(list.getEntries()));

  constructor() {
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  #note(entries: readonly PerformanceEntry[]): void {
    for (const entry of entries) {
      const { detail, startTime, duration } = entry as PerformanceEntry & {
        detail: { kind: number };
      };
      const full = detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
      this.#seen.push({ start: startTime, duration, full });
    }
  }

  async between(start: number, end: number): Promise<Collections> {
    for (let turn = 0; turn < 3; turn++) await setImmediate();
    this.#note(this.#observer.takeRecords());
    const then = this.#seen.filter((one) => one.start >= start && one.start < end);
    return {
      full: then.filter(({ full }) => full).length,
      all: then.length,
      pause: then.reduce((sum, { duration }) => sum + duration, 0),
    };
  }
}
