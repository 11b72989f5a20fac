import type { FileRange } from '../file-reading.ts';

/** Parts of a file, one behind the other, of each of which a digest is wanted. */
export interface HashJob {
  readonly path: string;
  readonly begin: number;
  /** Where each part ends and the next one begins. */
  readonly ends: readonly number[];
}

/** What a worker says of the job that it has. */
export type HashMessage =
  /** Bytes that it has read since the last message. */
  | { readonly bytes: number }
  /** Digests, in the order of the parts: the job is done. */
  | { readonly digests: readonly string[] }
  /** What there is of an error, whose own properties would not come through: the job is done. */
  | {
      readonly error: {
        readonly message: string;
        readonly code?: string;
        readonly path?: string;
        readonly syscall?: string;
      };
    };

/** A job takes parts up to so many bytes, so that there is work for all workers. */
const JOB_BYTES = 256 * 2 ** 20;

/** Jobs for ranges of files, in their order: those that follow each other are read together. */
export function jobsOf(ranges: readonly FileRange[]): HashJob[] {
  const jobs: { path: string; begin: number; ends: number[] }[] = [];
  for (const { path, begin, end } of ranges) {
    const last = jobs.at(-1);
    if (last?.path === path && last.ends.at(-1) === begin && end - last.begin <= JOB_BYTES) {
      last.ends.push(end);
    } else {
      jobs.push({ path, begin, ends: [end] });
    }
  }
  return jobs;
}
