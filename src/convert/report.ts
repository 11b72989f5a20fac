import type { SafetensorsError } from '../index.ts';
import { dangerOf } from './dangers.ts';
import { describe, globalText } from './describe.ts';
import type { Trace } from './pickle/trace.ts';
import { PyCall } from './pickle/values.ts';

/**
 * `safe`: it names nothing but what tensors are made of. `unknown`: it names something else, or cannot be
 * read to its end. `dangerous`: what it names is known to run code, to reach files or the like.
 */
export type ScanVerdict = 'safe' | 'unknown' | 'dangerous';

/** A name that Python would import. */
export interface ScannedGlobal {
  /** Printable. */
  readonly name: string;
  /** Whether it is one of those that checkpoints are made of. */
  readonly listed: boolean;
  /** What harm it can do, where that is known. */
  readonly danger?: string;
}

/** A call that Python would make, of something that is not on the list. */
export interface ScannedCall {
  /** With its arguments, as Python would write it; printable, and shortened. */
  readonly call: string;
  /** Byte of the pickle. */
  readonly at: number;
  readonly danger?: string;
}

export interface ScannedFile {
  readonly path: string;
  readonly verdict: ScanVerdict;
  /** Those that are known to do harm first; a thousand at most. */
  readonly globals: readonly ScannedGlobal[];
  /** Likewise. */
  readonly calls: readonly ScannedCall[];
  /** How many more there are. */
  readonly omitted: { readonly globals: number; readonly calls: number };
  /** Why it could not be read to its end, or is no checkpoint. */
  readonly problem?: SafetensorsError;
}

/** Names and calls that a report has: a pickle may have millions. */
const MOST_REPORTED = 1000;

/** The first of many: what is known to do harm before all else, which may be there to hide it. */
class Reported<T extends { readonly danger?: string }> {
  readonly #dangerous: T[] = [];
  readonly #others: T[] = [];
  #count = 0;

  add(danger: string | undefined, make: () => T): void {
    this.#count++;
    const list = danger === undefined ? this.#others : this.#dangerous;
    if (list.length < MOST_REPORTED)
      list.push(danger === undefined ? make() : { ...make(), danger });
  }

  get items(): readonly T[] {
    return [...this.#dangerous, ...this.#others].slice(0, MOST_REPORTED);
  }

  get omitted(): number {
    return this.#count - this.items.length;
  }
}

/** What is said of a file of which so much has been seen. */
export function reportOf(
  path: string,
  trace: Trace,
  problem: SafetensorsError | undefined,
): ScannedFile {
  let verdict: ScanVerdict = problem === undefined ? 'safe' : 'unknown';
  const globals = new Reported<ScannedGlobal>();
  for (const { global, listed } of trace.globals.values()) {
    const danger = listed ? undefined : dangerOf(global);
    if (danger !== undefined) verdict = 'dangerous';
    globals.add(danger, () => ({ name: globalText(global), listed }));
  }
  const calls = new Reported<ScannedCall>();
  for (const { what, at } of trace.suspicions) {
    const danger = dangerOf(what);
    if (danger !== undefined) verdict = 'dangerous';
    else if (verdict === 'safe') verdict = 'unknown';
    if (what instanceof PyCall) calls.add(danger, () => ({ call: describe(what), at }));
  }
  return {
    path,
    verdict,
    globals: globals.items,
    calls: calls.items,
    omitted: { globals: globals.omitted, calls: calls.omitted },
    ...(problem === undefined ? {} : { problem }),
  };
}
