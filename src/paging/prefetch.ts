import { setTimeout } from 'node:timers/promises';
import { unlessAborted } from '../abort.ts';
import {
  checkBoolean,
  checkCallback,
  checkInteger,
  checkObject,
  checkSignal,
} from '../arguments.ts';
import { SafetensorsError } from '../errors.ts';
import type { Storage } from '../storage/storage.ts';
import { availableMemory } from './available-memory.ts';
import type { PageIn, PageRanges, Pages } from './pages.ts';
import { pagingError } from './paging-error.ts';

/** How far the paging in is. */
export interface PrefetchProgress {
  /** Bytes that are in memory. */
  readonly bytes: number;
  /** Bytes of all tensors that were asked for. */
  readonly totalBytes: number;
}

export interface PrefetchOptions {
  /** Ends it: the promise is rejected with the signal's reason; what is in memory stays there. */
  signal?: AbortSignal | undefined;
  /** Called from the event loop; never after the promise is settled. */
  onProgress?: ((progress: PrefetchProgress) => void) | undefined;
  /** Threads that read at once, at most, from 1 to 64. Default: 4. */
  concurrency?: number | undefined;
  /**
   * Whether to go on when they do not fit into the memory that is available: the system would drop what was
   * read first, or end the process. Default: false, MEMORY_LIMIT.
   */
  beyondMemory?: boolean | undefined;
}

export interface Residency {
  /** Bytes of the tensors. */
  readonly byteLength: number;
  /** Those of them that are in memory: of this process, or, where the system tells, in its page cache. */
  readonly residentBytes: number;
}

const DEFAULT_CONCURRENCY = 4;
const MOST_CONCURRENCY = 64;

/** Tensors, as entries of the table in any order; `undefined` for all. */
export type Entries = Int32Array | undefined;

/** What is asked at once for how much of it is in memory: some milliseconds' work. */
const PART_BYTES = 2 ** 32;
const PART_RANGES = 4096;

/**
 * Whether what is available counts pages of files, so that those that are there of a file are part of it. Elsewhere
 * only what is free is known.
 */
const CACHE_IS_AVAILABLE = process.platform === 'linux';

/** Pauses between two looks at how far the threads are, in milliseconds. */
const SHORTEST_PAUSE = 1;
const LONGEST_PAUSE = 20;
/** Of the time that has gone by: the end is seen no later than that. */
const PAUSE_SHARE = 1 / 50;

/** Brings the bytes of entries into memory: see {@link Container.prefetch}. */
export async function prefetch(
  storage: Storage,
  entries: Entries,
  options: PrefetchOptions = {},
): Promise<void> {
  const { signal, onProgress, concurrency, beyondMemory } = checkedOptions(options);
  signal?.throwIfAborted();
  const { pages } = storage;
  const ranges = rangesOf(storage, entries);
  const totalBytes = sumOf(ranges);
  if (pages === undefined || totalBytes === 0) {
    onProgress?.({ bytes: totalBytes, totalBytes });
    return;
  }
  if (!beyondMemory) await checkMemory(storage, pages, ranges, signal);
  // It may have been closed while that was awaited, however short it was.
  storage.assertOpen();
  const job = start(storage, pages, ranges, concurrency);
  try {
    let shown = -1;
    for (const begin = performance.now(); ; ) {
      const finished = isFinished(storage, job);
      const { bytes } = job;
      if (bytes > shown) onProgress?.({ bytes, totalBytes });
      shown = bytes;
      signal?.throwIfAborted();
      if (finished) {
        storage.assertOpen(); // after the last call of `onProgress`
        if (pages.anyLost) assertIntact(storage, ranges);
        return;
      }
      const share = PAUSE_SHARE * (performance.now() - begin);
      const pause = Math.min(Math.max(share, SHORTEST_PAUSE), LONGEST_PAUSE);
      await setTimeout(pause, undefined, signal === undefined ? {} : { signal }).catch(() => {});
      signal?.throwIfAborted();
      storage.assertOpen();
    }
  } finally {
    job.cancel();
  }
}

/** How much of the bytes of entries is in memory. */
export async function residency(storage: Storage, entries: Entries): Promise<Residency> {
  const ranges = rangesOf(storage, entries);
  const byteLength = sumOf(ranges);
  const { pages } = storage;
  if (pages === undefined) return { byteLength, residentBytes: byteLength };
  return { byteLength, residentBytes: await orPagingError(storage, pages.resident(ranges)) };
}

/** Gives back the pages that hold bytes of entries and nothing else. */
export async function release(storage: Storage, entries: Entries): Promise<void> {
  const { pages } = storage;
  if (pages) await orPagingError(storage, pages.drop(rangesOf(storage, entries)));
}

function checkedOptions(options: PrefetchOptions) {
  checkObject(options, 'options');
  const { signal, onProgress, concurrency = DEFAULT_CONCURRENCY, beyondMemory = false } = options;
  checkSignal(signal);
  checkCallback(onProgress, 'onProgress');
  checkBoolean(beyondMemory, 'beyondMemory');
  checkInteger(concurrency, 'concurrency', 1, MOST_CONCURRENCY);
  return { signal, onProgress, concurrency, beyondMemory };
}

/** Where the bytes of entries are in the mapping, in its order, each once. */
function rangesOf({ table, dataStart }: Storage, entries: Entries): PageRanges {
  const { begins, ends } = table.columns;
  const ranges: number[] = [];
  let begin = 0;
  let end = 0;
  const add = (entry: number) => {
    if (begins[entry] === ends[entry]) return;
    if (end > begin && begins[entry] <= end) {
      end = Math.max(end, ends[entry]);
      return;
    }
    if (end > begin) ranges.push(dataStart + begin, end - begin);
    begin = begins[entry];
    end = ends[entry];
  };
  if (entries === undefined) {
    for (let rank = 0; rank < table.count; rank++) add(table.atOffsetRank(rank));
  } else {
    for (const entry of table.inOrderOfData(entries)) add(entry);
  }
  if (end > begin) ranges.push(dataStart + begin, end - begin);
  return Float64Array.from(ranges);
}

function sumOf(ranges: PageRanges): number {
  let sum = 0;
  for (let i = 1; i < ranges.length; i += 2) sum += ranges[i];
  return sum;
}

/**
 * Makes sure that all the ranges fit into memory together. What is there of them already is part of what is
 * available where that counts pages of files, since the system would give those up too: the first half for the second.
 *
 * @throws {SafetensorsError} MEMORY_LIMIT, CLOSED
 * @throws the reason of the signal
 */
async function checkMemory(
  storage: Storage,
  pages: Pages,
  ranges: PageRanges,
  signal: AbortSignal | undefined,
): Promise<void> {
  const available = availableMemory();
  const totalBytes = sumOf(ranges);
  if (totalBytes <= available) return;
  const spare = CACHE_IS_AVAILABLE ? 0 : available;
  let missing = 0;
  // Nothing has to be read of what is there, whoever keeps it there: another control group, or tmpfs.
  for (const part of partsOf(ranges)) {
    const resident = orPagingError(storage, pages.resident(part));
    missing += sumOf(part) - (await unlessAborted(resident, signal));
    storage.assertOpen();
    if (missing <= spare) continue;
    throw new SafetensorsError(
      'MEMORY_LIMIT',
      `${totalBytes} bytes are not all in memory and do not fit there together: ${available} are available` +
        `${CACHE_IS_AVAILABLE ? ', with what is there of them' : ''}; ` +
        'prefetch fewer tensors, or all the same with beyondMemory: true',
      { path: storage.path },
    );
  }
}

/** Ranges in their order, a call's worth at a time. */
function* partsOf(ranges: PageRanges): Generator<PageRanges> {
  let part: number[] = [];
  let partBytes = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    for (let done = 0; done < ranges[i + 1]; ) {
      const length = Math.min(ranges[i + 1] - done, PART_BYTES - partBytes);
      part.push(ranges[i] + done, length);
      done += length;
      partBytes += length;
      if (partBytes < PART_BYTES && part.length < 2 * PART_RANGES) continue;
      yield Float64Array.from(part);
      part = [];
      partBytes = 0;
    }
  }
  if (part.length > 0) yield Float64Array.from(part);
}

function start(storage: Storage, pages: Pages, ranges: PageRanges, threads: number): PageIn {
  try {
    return pages.pageIn(ranges, threads);
  } catch (error) {
    throw pagingError(storage, error);
  }
}

/** What a call comes to, or its failure as the caller is to see it. */
function orPagingError<T>(storage: Storage, call: Promise<T>): Promise<T> {
  return call.catch((error: unknown) => {
    throw pagingError(storage, error);
  });
}

/** Pages that were lost before are there, as zeros. */
function assertIntact(storage: Storage, ranges: PageRanges): void {
  for (let i = 0; i < ranges.length; i += 2) {
    const begin = ranges[i] - storage.dataStart;
    storage.assertIntact(begin, begin + ranges[i + 1]);
  }
}

function isFinished(storage: Storage, job: PageIn): boolean {
  try {
    return job.finished;
  } catch (error) {
    throw pagingError(storage, error);
  }
}
