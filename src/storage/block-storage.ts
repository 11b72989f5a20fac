import { setImmediate } from 'node:timers/promises';
import { unlessAborted } from '../abort.ts';
import { native } from '../native.ts';
import { MappedPages, type Pages } from '../paging/pages.ts';
import type { DataPlace } from '../paging/paging-error.ts';
import { type Runs, spanOf } from '../slice.ts';
import { allocateBlock, fillBlocks, PIECE_BYTES } from './block-filling.ts';
import { BlockPages, extentOf } from './block-pages.ts';
import { Blocks, type Extent } from './blocks.ts';
import { CopyStorage } from './buffer-storage.ts';
import type { ByteReader } from './byte-reader.ts';
import { Copies } from './copies.ts';
import { allocate, inPieces, LANES, nativeRuns } from './gathering.ts';
import type { MappedFiles } from './mapped-files.ts';
import { gatherMapped, gatherMappedAsync } from './mapped-gathering.ts';
import { type Backend, type FilePlace, Storage, type Window } from './storage.ts';

/** A block that is being read, as long as anybody waits for it. */
interface Loading {
  readonly block: Promise<ArrayBuffer>;
  readonly waiting: { count: number };
}

/**
 * Files whose tensors are read into memory of JavaScript's own when they are used, each whole and into a
 * buffer of its own, which begins with it and so is aligned to its elements. There is one buffer of a
 * tensor as long as anybody has a view of it, or it was prefetched and has not been released. Slices
 * are read by themselves, unless their tensor is there.
 */
export class BlockStorage extends Storage {
  readonly #reader: ByteReader;
  readonly #backend: Backend;
  readonly #blocks = new Blocks();
  readonly #copies: Copies;
  /** By where the blocks begin. */
  readonly #loading = new Map<number, Loading>();
  /** What each hold keeps of the blocks that closing has emptied. */
  readonly #holds = new Set<Disposable[]>();

  constructor(reader: ByteReader, backend: Backend, { table, dataStart, path }: DataPlace) {
    super(table, dataStart, path);
    this.#reader = reader;
    this.#backend = backend;
    this.#copies = new Copies(reader.handle);
  }

  override get backend(): Backend {
    return this.#backend;
  }

  override get isCopy(): boolean {
    return true;
  }

  override fileAt(position: number): FilePlace {
    return this.#reader.fileAt(position);
  }

  override assertAllIntact(): void {
    this.assertOpen();
    this.#reader.mapping?.assertAllIntact();
  }

  override checkFiles(): void {
    this.assertOpen();
    this.#reader.check();
  }

  override isThere(begin: number, end: number): boolean {
    return begin === end || this.#bytesThere(begin, end)?.length === end - begin;
  }

  override windowFor(begin: number, end: number): Window {
    this.assertOpen();
    // A tensor without bytes needs no memory.
    if (begin === end) return { buffer: new ArrayBuffer(0), start: this.dataStart + begin };
    const extent = extentOf(this.table, begin, end);
    const known = extent && this.#blocks.get(extent);
    if (known) return { buffer: known, start: this.dataStart + extent.begin };
    const buffer = allocateBlock(end - begin);
    this.#reader.readSync(this.dataStart + begin, new Uint8Array(buffer));
    if (extent && isAll(extent, begin, end)) this.#publish(extent, buffer);
    else this.#copies.note(buffer);
    return { buffer, start: this.dataStart + begin };
  }

  override windowAt(begin: number): Window {
    const { ends } = this.table.columns;
    const end = ends[this.table.atPosition(begin)];
    return this.windowFor(begin, Math.min(begin + PIECE_BYTES, end));
  }

  override bytesFrom(begin: number, end: number): Uint8Array {
    this.assertOpen();
    const there = this.#bytesThere(begin, end);
    if (there) return there;
    const bytes = new Uint8Array(Math.min(end - begin, PIECE_BYTES));
    this.#reader.readSync(this.dataStart + begin, bytes);
    return bytes;
  }

  override bytesSoon(begin: number, end: number): Uint8Array | Promise<Uint8Array> {
    this.assertOpen();
    return this.#bytesThere(begin, end) ?? this.#readPiece(begin, end);
  }

  override async load(
    begin: number,
    end: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    this.assertOpen();
    signal?.throwIfAborted();
    if (begin === end) return new Uint8Array(0);
    const extent = extentOf(this.table, begin, end);
    const known = extent && this.#blocks.get(extent);
    if (known) return new Uint8Array(known, begin - extent.begin, end - begin);
    if (extent && isAll(extent, begin, end)) {
      return new Uint8Array(await this.#loadExtent(extent, signal));
    }
    const stopped = () => signal?.aborted === true;
    return new Uint8Array(await unlessAborted(this.#fill({ begin, end }, stopped), signal));
  }

  override gather(runs: Runs): Storage {
    this.assertOpen();
    const mapping = this.#mappingFor(runs);
    if (mapping) return new CopyStorage(this, gatherMapped(mapping, runs).buffer);
    const target = allocate(runs);
    if (target.length > 0) {
      const { begin, end } = this.#toGather(runs);
      const { buffer, start } = this.windowFor(begin, end);
      const numbers = nativeRuns(runs, this.dataStart - start);
      native().gather(new Uint8Array(buffer), numbers, target, 0, target.length);
    }
    this.assertOpen();
    return new CopyStorage(this, target.buffer);
  }

  override async gatherAsync(runs: Runs, signal: AbortSignal | undefined): Promise<Storage> {
    this.assertOpen();
    const mapping = this.#mappingFor(runs);
    if (mapping) {
      const assertOpen = () => this.assertOpen();
      const copy = await gatherMappedAsync(mapping, runs, { signal, assertOpen });
      return new CopyStorage(this, copy.buffer);
    }
    const target = allocate(runs);
    if (target.length > 0) {
      const { begin, end } = this.#toGather(runs);
      const bytes = await this.load(begin, end, signal);
      const numbers = nativeRuns(runs, -begin);
      // On this thread: closing may take the bytes away.
      await inPieces(runs, { lanes: 1, signal }, async (from, to) => {
        this.assertOpen();
        native().gather(bytes, numbers, target, from, to);
        await setImmediate();
      });
    }
    this.assertOpen();
    return new CopyStorage(this, target.buffer);
  }

  override get pages(): Pages {
    this.assertOpen();
    const { mapping } = this.#reader;
    if (mapping) return new MappedPages(mapping.handle);
    const isClosed = () => this.closed;
    return new BlockPages({
      table: this.table,
      dataStart: this.dataStart,
      reader: this.#reader,
      blocks: this.#blocks,
      publish: (extent, buffer) => this.#publish(extent, buffer),
      get closed() {
        return isClosed();
      },
    });
  }

  override hold(): Disposable {
    this.assertOpen();
    const kept: Disposable[] = [];
    this.#holds.add(kept);
    return {
      [Symbol.dispose]: () => {
        this.#holds.delete(kept);
        for (const hold of kept.splice(0)) hold[Symbol.dispose]();
      },
    };
  }

  override noteCopy(copy: ArrayBuffer): void {
    this.#copies.note(copy);
  }

  override holdCopy(copy: ArrayBuffer): Disposable {
    return this.#copies.hold(copy);
  }

  protected override release(): void {
    if (this.#holds.size > 0) {
      const alive = this.#blocks.alive();
      for (const kept of this.#holds) {
        for (const block of alive) kept.push(this.#copies.hold(block));
      }
    }
    this.#copies.keepHeld();
    this.#blocks.clear();
    this.#reader.close();
  }

  /** What of `[begin, end)` is in memory, from `begin` on. */
  #bytesThere(begin: number, end: number): Uint8Array | undefined {
    const extent = extentOf(this.table, begin, begin);
    const block = extent && this.#blocks.get(extent);
    if (!block) return undefined;
    return new Uint8Array(block, begin - extent.begin, Math.min(end, extent.end) - begin);
  }

  async #readPiece(begin: number, end: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.min(end - begin, PIECE_BYTES));
    await this.#reader.read(this.dataStart + begin, bytes);
    this.assertOpen();
    return bytes;
  }

  /** The mapping that runs are in, unless their tensor has been copied from there. */
  #mappingFor(runs: Runs): MappedFiles | undefined {
    const { begin, end } = spanOf(runs);
    return this.isThere(begin, end) ? undefined : this.#reader.mapping;
  }

  /** What to read for runs: their tensor, or the bytes from the first to the last where that is far less. */
  #toGather(runs: Runs): Extent {
    const span = spanOf(runs);
    const extent = extentOf(this.table, span.begin, span.end);
    if (extent === undefined) return span;
    const isMost = 2 * (span.end - span.begin) >= extent.end - extent.begin;
    return isMost && runs.axes.length > 0 ? extent : span;
  }

  async #loadExtent(extent: Extent, signal: AbortSignal | undefined): Promise<ArrayBuffer> {
    let loading = this.#loading.get(extent.begin);
    if (loading === undefined || loading.waiting.count === 0) {
      const waiting = { count: 1 };
      const stopped = () => waiting.count === 0;
      const begun = { block: this.#fill(extent, stopped), waiting };
      this.#loading.set(extent.begin, begun);
      begun.block
        .catch(() => {})
        .finally(() => {
          if (this.#loading.get(extent.begin) === begun) this.#loading.delete(extent.begin);
        });
      loading = begun;
    } else {
      loading.waiting.count++;
    }
    try {
      return this.#publish(extent, await unlessAborted(loading.block, signal));
    } finally {
      loading.waiting.count--;
    }
  }

  /** Reads an extent on other threads. */
  async #fill(extent: Extent, stopped: () => boolean): Promise<ArrayBuffer> {
    let filled: ArrayBuffer | undefined;
    await fillBlocks(this.#reader, [extent], {
      dataStart: this.dataStart,
      lanes: LANES,
      stopped: () => this.closed || stopped(),
      onFilled: (_, buffer) => {
        filled = buffer;
      },
    });
    this.assertOpen();
    if (filled === undefined) throw new Error('nobody waits for it any more');
    return filled;
  }

  #publish(extent: Extent, buffer: ArrayBuffer): ArrayBuffer {
    const known = this.#blocks.get(extent);
    if (known !== undefined) return known;
    this.assertOpen();
    this.#blocks.put(extent, buffer);
    this.#copies.note(buffer);
    return buffer;
  }
}

function isAll(extent: Extent, begin: number, end: number): boolean {
  return extent.begin === begin && extent.end === end;
}
