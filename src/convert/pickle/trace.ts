import { MOST_SUSPICIONS, MOST_WORK_OF_FILE } from './limits.ts';
import type { PyCall, PyGlobal } from './values.ts';

/** What a pickle would have Python do that is not on the list. */
export interface Suspicion {
  /** Byte of the pickle. */
  readonly at: number;
  /** What would be imported, or called with which arguments. */
  readonly what: PyGlobal | PyCall;
}

export interface TracedGlobal {
  readonly global: PyGlobal;
  /** Byte of the pickle. */
  readonly at: number;
  /** Whether it is one of those that checkpoints are made of. */
  readonly listed: boolean;
}

/** What has been seen of the pickles of a file, whether that went well or not, and what more of it may cost. */
export class Trace {
  /** Ends the looking, with its reason. */
  readonly signal: AbortSignal | undefined;

  /** What is left of what all pickles together may cost; see limits.ts. */
  work = MOST_WORK_OF_FILE;

  constructor(signal?: AbortSignal) {
    this.signal = signal;
  }

  /** Every name that Python would import, once each, in order. */
  readonly globals = new Map<string, TracedGlobal>();
  readonly suspicions: Suspicion[] = [];

  /** Whether {@link suspicions} are not all; what they name is among {@link globals} still. */
  overflows = false;

  add(other: Trace): void {
    for (const [id, global] of other.globals) {
      if (!this.globals.has(id)) this.globals.set(id, global);
    }
    for (const suspicion of other.suspicions) {
      this.overflows ||= this.suspicions.length >= MOST_SUSPICIONS;
      if (this.overflows) break;
      this.suspicions.push(suspicion);
    }
  }
}
