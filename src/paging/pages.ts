import { type FileHandle, native, type PageInJob } from '../native.ts';

/** Offset and length in turn, in bytes of the mapping. */
export type PageRanges = Float64Array;

/** What of some memory that is filled from files is there, and how more of it gets there. */
export interface Pages {
  /** Begins to read ranges, so many at once. */
  pageIn(ranges: PageRanges, threads: number): PageIn;
  /** Bytes of the ranges that are in memory. */
  resident(ranges: PageRanges): Promise<number>;
  /** Gives back what lies wholly in the ranges. */
  drop(ranges: PageRanges): Promise<void>;
  /** Whether some may have been lost: where not, no range need be asked about. */
  readonly anyLost: boolean;
}

/** Reading that is under way. */
export interface PageIn {
  /** Bytes that are in memory so far. */
  readonly bytes: number;
  /** Throws what it failed of, once it has. */
  readonly finished: boolean;
  /** What is being read is the last that is. */
  cancel(): void;
}

/** The pages of a mapping, and which of them are in memory. */
export class MappedPages implements Pages {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Begins to page in on so many threads of the addon. */
  pageIn(ranges: PageRanges, threads: number): PageIn {
    return new MappedPageIn(native().startPageIn(this.#handle, ranges, threads));
  }

  resident(ranges: PageRanges): Promise<number> {
    return native().residentBytes(this.#handle, ranges);
  }

  /** Those of any mapping of the process. */
  get anyLost(): boolean {
    return native().anyLost();
  }

  /** Private copies of pages included. */
  drop(ranges: PageRanges): Promise<void> {
    return native().dropPages(this.#handle, ranges);
  }
}

/** Paging in that is under way; the mapping lives at least as long. */
class MappedPageIn implements PageIn {
  readonly #job: PageInJob;

  constructor(job: PageInJob) {
    this.#job = job;
  }

  get bytes(): number {
    return native().pageInBytes(this.#job);
  }

  /** @throws {PageFailure} what it failed of, once it has */
  get finished(): boolean {
    return native().pageInFinished(this.#job);
  }

  cancel(): void {
    native().cancelPageIn(this.#job);
  }
}
