import type { CheckedTensor } from './inputs.ts';
import type { FilePlan } from './plan.ts';
import { type ByteSource, FEW_BYTES, ViewSource } from './source.ts';

/**
 * Bytes written at once. Measured on ext4: pieces of 1 to 32 MiB are about equally fast, and a signal
 * should not have to wait for a long one.
 */
export const CHUNK_BYTES = 8 * 2 ** 20;

/** Parts of a chunk, which are looked at without a pause. */
const MOST_PARTS = 1024;

/** Bytes `[begin, end)` of a source. */
export interface Part {
  readonly source: ByteSource;
  readonly begin: number;
  readonly end: number;
  /** Whose they are; `undefined` for the header. */
  readonly tensor: string | undefined;
}

/** Parts that follow each other in a file, small enough to be written at once. */
export interface Chunk {
  /** In the file. */
  readonly position: number;
  readonly byteLength: number;
  readonly parts: readonly Part[];
}

/** The whole file, front to back, cut at multiples of {@link CHUNK_BYTES}. */
export function* chunksOf(plan: FilePlan<CheckedTensor>): Generator<Chunk, void, undefined> {
  yield* cut(0, everything(plan));
}

/** The header of a file that is yet to get its data. */
export function headerChunks({ header }: FilePlan): Iterator<Chunk, void, undefined> {
  return cut(0, [headerPart(header)]);
}

function* everything({ header, tensors }: FilePlan<CheckedTensor>): Generator<Part> {
  yield headerPart(header);
  for (const { name, source } of tensors) {
    yield { source, begin: 0, end: source.byteLength, tensor: name };
  }
}

function headerPart(header: Buffer): Part {
  return { source: new ViewSource(header), begin: 0, end: header.length, tensor: undefined };
}

/** Parts that follow each other from `position` on, in chunks. */
export function* cut(position: number, parts: Iterable<Part>): Generator<Chunk, void, undefined> {
  let start = position;
  let end = position;
  let limit = nextMultiple(start);
  let collected: Part[] = [];
  for (const { source, begin, end: partEnd, tensor } of parts) {
    for (let done = begin; done < partEnd; ) {
      const length = Math.min(partEnd - done, limit - end);
      collected.push({ source, begin: done, end: done + length, tensor });
      done += length;
      end += length;
      if (end < limit && collected.length < MOST_PARTS) continue;
      yield { position: start, byteLength: end - start, parts: collected };
      collected = [];
      start = end;
      limit = nextMultiple(start);
    }
  }
  if (end > start) yield { position: start, byteLength: end - start, parts: collected };
}

function nextMultiple(position: number): number {
  return position - (position % CHUNK_BYTES) + CHUNK_BYTES;
}

/**
 * Bytes `[from, to)` of a chunk, without copying but where they are few; those that are not in memory are read.
 * They are there when this resolves, and may be emptied as soon as anything else runs: see {@link assertThere}.
 */
export async function viewsOf({ parts }: Chunk, from: number, to: number): Promise<Uint8Array[]> {
  const views = new Views(parts.length);
  let partStart = 0;
  for (const { source, begin, end } of parts) {
    const last = Math.min(end, begin + to - partStart);
    for (let at = begin + Math.max(0, from - partStart); at < last; ) {
      if (views.addFew(source, at, last)) break;
      const soon = source.bytesSoon(at, last);
      const bytes = soon instanceof Promise ? await soon : soon;
      views.add(bytes);
      at += bytes.length;
    }
    partStart += end - begin;
    if (partStart >= to) break;
  }
  return views.all();
}

/** Views that follow each other; those of few bytes are copied, and become one where they are neighbours. */
class Views {
  readonly #all: Uint8Array[] = [];
  readonly #most: number;
  /** Copies, those up to `#begin` in views already. */
  #copies: Uint8Array | undefined;
  #begin = 0;
  #end = 0;

  /** Of so many parts, at most. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Adds bytes `[begin, end)` of a source if they are few: whether it did. */
  addFew(source: ByteSource, begin: number, end: number): boolean {
    if (source.copyFew === undefined || source.byteLength > FEW_BYTES) return false;
    this.#copies ??= new Uint8Array(this.#most * FEW_BYTES);
    if (!source.copyFew(this.#copies, this.#end, begin, end)) return false;
    this.#end += end - begin;
    return true;
  }

  add(bytes: Uint8Array): void {
    this.#addCopies();
    this.#all.push(bytes);
  }

  all(): Uint8Array[] {
    this.#addCopies();
    return this.#all;
  }

  #addCopies(): void {
    if (this.#copies === undefined || this.#end === this.#begin) return;
    this.#all.push(this.#copies.subarray(this.#begin, this.#end));
    this.#begin = this.#end;
  }
}

/**
 * Makes sure that views of a chunk's `byteLength` bytes have them all, right before they are handed to the
 * system: a container that was closed, or a buffer that was moved, since they were made leaves empty ones,
 * without which the rest would be written to the wrong place.
 *
 * @throws {SafetensorsError} CLOSED
 * @throws {TypeError} for a buffer of the caller's
 */
export function assertThere(views: readonly Uint8Array[], { parts }: Chunk, byteLength: number) {
  if (views.reduce((sum, { length }) => sum + length, 0) === byteLength) return;
  for (const { source, begin, end } of parts) {
    source.storage?.assertOpen();
    source.bytes(begin, end);
  }
  throw new TypeError('data: it was emptied while it was written');
}

/** The part that byte `at` of a chunk is in, and where in that. */
export function partAt({ parts }: Chunk, at: number): { part: Part; at: number } {
  let left = at;
  for (const part of parts) {
    const length = part.end - part.begin;
    if (left < length) return { part, at: left };
    left -= length;
  }
  throw new RangeError(`byte ${at}: behind the chunk`);
}
