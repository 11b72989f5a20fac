import { createHash } from 'node:crypto';
import type { Collections } from './collections.ts';

/** What a driver prints for the task `open`; times in milliseconds. */
export interface OpenResult {
  /** The first open of the process. */
  first: number;
  further: number[];
  /** SHA-256 of names, dtypes and shapes. */
  checksum: string;
}

/** What a driver prints for the task `cost`. */
export interface CostResult {
  /** Milliseconds. */
  time: number;
  /** Bytes of memory at the peak of the open, over those before it. */
  memory: number;
  /** Whether the file was accepted, and with how many tensors. */
  checksum: string;
}

/** What the driver `views` prints for the task `open`; bytes of `process.memoryUsage().external`. */
export interface ExternalResult {
  /** By opening. */
  opened: number;
  /** By the first view after that. */
  viewed: number;
  /** During the opening. */
  fullCollections: number;
  checksum: string;
}

/** What the driver `slices` prints; times in milliseconds. */
export interface SliceResult {
  /** The first slice of the process. */
  first: number;
  further: number[];
  /** SHA-256 of its bytes. */
  checksum: string;
}

/** What a driver prints for the tasks `save` and `dd`, and of a checkpoint that it converts. */
export interface SaveResult {
  /** Milliseconds. */
  time: number;
  /** Milliseconds that the event loop was late at most. */
  longestDelay?: number;
  /** Bytes of the process's own at the peak, over those before it. */
  memory?: number;
  /** SHA-256 of the file. */
  checksum?: string;
}

/** What a driver prints that reads all tensors and touches their pages; milliseconds from the open. */
export interface TouchResult {
  /** Until all tensors could be used. */
  ready: number;
  /** Until all of their pages were touched. */
  time: number;
  /** How many tensors, and the sum of a word of each page. */
  checksum: string;
}

/** What the driver `reader` prints. */
export interface ReaderResult {
  /** Milliseconds. */
  time: number;
  /** That were read. */
  bytes: number;
}

/** What the driver `gc` prints: of opening a file and viewing all tensors. */
export interface GcResult extends Collections {
  /** Milliseconds. */
  time: number;
  /** How many views were made, and the sum of the first word of each. */
  checksum: string;
}

/** What the driver `loop` prints; milliseconds. */
export interface LoopResult {
  time: number;
  /** Of the event loop, at the 99th percentile. */
  delay: number;
  longest: number;
  /** The share of the file that is in memory then. */
  resident: number;
}

/** What the driver `hold` prints. */
export interface HoldResult {
  /** How many tensors, and the sum of a word of each page. */
  checksum: string;
}

/** What the driver `sizes` prints; milliseconds. */
export interface SizesResult {
  /** The first open of the process, and the median of further ones. */
  first: number;
  further: number;
  /** The first and its views of all tensors, and the median of further ones. */
  firstViews: number;
  furtherViews: number;
  /** How many tensors, and the sum of the first word of each. */
  checksum: string;
}

export interface LastResult {
  /** Milliseconds from the open to the element. */
  time: number;
  fullCollections: { opening: number; reading: number };
  /** The element. */
  checksum: string;
}

/** A model opened, and all of its tensors viewed. */
export interface ModelViewsResult {
  /** Milliseconds. */
  open: number;
  view: number;
  /** Full ones, of opening alone. */
  openingCollections: number;
  /** Full ones, of both together. */
  fullCollections: number;
  /** Bytes of the JavaScript heap before. */
  heap: number;
  /** How many views were made. */
  checksum: string;
}

/** Nanoseconds a view. */
export interface ViewsResult {
  /** The first pass over all tensors, the making of the windows included. */
  first: number;
  further: number[];
  /** Of each pass. */
  fullCollections: number[];
  /** How many views were made. */
  checksum: string;
}

/** A file as one of the drivers opened it. */
export interface Opened {
  /** `name dtype shape` of each tensor. */
  lines: () => string[];
  close: () => void;
}

export function checksumOf(lines: readonly string[]): string {
  const hash = createHash('sha256');
  hash.update(
    lines
      .toSorted()
      .map((line) => `${line}\n`)
      .join(''),
  );
  return hash.digest('hex');
}

/** Of benchmarks/drivers/decode.ts. */
export interface DecodeResult {
  /** Milliseconds of each repetition. */
  times: number[];
  /** SHA-256 of the results, of those who decode. */
  checksum?: string;
}

/** Opens a file so many times; only the opening is timed. */
export async function timeOpens(
  opens: number,
  open: () => Opened | Promise<Opened>,
): Promise<OpenResult> {
  const times: number[] = [];
  let checksum = '';
  for (let i = 0; i < opens; i++) {
    const start = performance.now();
    const pending = open();
    const opened = pending instanceof Promise ? await pending : pending;
    times.push(performance.now() - start);
    if (i === opens - 1) checksum = checksumOf(opened.lines());
    opened.close();
  }
  return { first: times[0], further: times.slice(1), checksum };
}
