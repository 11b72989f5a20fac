import { type FileHandle, native, type PageInJob } from './native.ts';

/** Offset and length in turn, in bytes of the mapping. */
export type PageRanges = Float64Array;

/** The pages of a mapping, and which of them are in memory. */
export class Pages {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Begins to page in on so many threads of the addon. */
  pageIn(ranges: PageRanges, threads: number): PageIn {
    return new PageIn(native().startPageIn(this.#handle, ranges, threads));
  }

  /** Bytes of the ranges that are in memory. */
  resident(ranges: PageRanges): Promise<number> {
    return native().residentBytes(this.#handle, ranges);
  }

  /** Gives back the pages that lie wholly in the ranges, private copies included. */
  drop(ranges: PageRanges): Promise<void> {
    return native().dropPages(this.#handle, ranges);
  }
}

/** Paging in that is under way; the mapping lives at least as long. */
export class PageIn {
  readonly #job: PageInJob;

  constructor(job: PageInJob) {
    this.#job = job;
  }

  /** Bytes that are in memory so far. */
  get bytes(): number {
    return native().pageInBytes(this.#job);
  }

  /** @throws {PageFailure} what it failed of, once it has */
  get finished(): boolean {
    return native().pageInFinished(this.#job);
  }

  /** What is being read is the last that is. */
  cancel(): void {
    native().cancelPageIn(this.#job);
  }
}
