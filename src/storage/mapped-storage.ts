import { constants } from 'node:buffer';
import { type FileHandle, type MappingHold, native } from '../native.ts';
import { MappedPages, type Pages } from '../paging/pages.ts';
import type { Runs } from '../slice.ts';
import { CopyStorage } from './buffer-storage.ts';
import { Copies } from './copies.ts';
import { noteEmptied } from './emptied-buffers.ts';
import type { MappedFiles } from './mapped-files.ts';
import { gatherMapped, gatherMappedAsync } from './mapped-gathering.ts';
import { type Backend, type FilePlace, type Hold, Storage, type Window } from './storage.ts';

/** Windows begin at multiples of this, which every element's length divides; a cache line. */
const WINDOW_ALIGNMENT = 64;

interface PlannedWindow {
  /** In the file. */
  readonly start: number;
  readonly end: number;
  made: MadeWindow | undefined;
}

interface MadeWindow extends Window {
  readonly buffer: ArrayBuffer;
  readonly end: number;
}

/** Holds nothing. */
const NONE: MadeWindow = { buffer: new ArrayBuffer(0), start: Infinity, end: 0 };

/**
 * A mapped file, seen through external ArrayBuffers.
 *
 * Making one that is longer than about 64 MB costs V8 a full garbage collection, however large it
 * is: so there is one for the whole file wherever the runtime allows (4 GiB at most on Node 20), made when
 * a view first needs it. The mapping lives until this object and every buffer over it are gone.
 */
export class MappedStorage extends Storage {
  readonly #handle: FileHandle;
  readonly #files: MappedFiles;
  #windows: PlannedWindow[] | undefined;
  readonly #bridges: PlannedWindow[] = [];
  readonly #copies: Copies;
  /** For buffers, which must not keep all this as long as they live. */
  readonly #weak = new WeakRef<MappedStorage>(this);
  /** The window that was asked for last: most views need no other. */
  #last: MadeWindow = NONE;

  constructor(files: MappedFiles) {
    super(files.table, files.dataStart, files.path);
    this.#handle = files.handle;
    this.#files = files;
    this.#copies = new Copies(files.handle);
  }

  override get backend(): Backend {
    return 'mmap';
  }

  override windowFor(begin: number, end: number): Window {
    // Short enough for V8 to inline: a call would allocate its numbers, which are above 2^31 in large files.
    const start = this.dataStart + begin;
    const stop = this.dataStart + end;
    const last = this.#last;
    if (start >= last.start && stop <= last.end && start < stop) return attached(last);
    return this.#otherWindow(start, stop);
  }

  override windowAt(begin: number): Window {
    this.assertOpen();
    const start = this.dataStart + begin;
    return attached(this.#window(start, start + 1));
  }

  override hold(): Hold {
    this.assertOpen();
    const addon = native();
    const hold = addon.hold(this.#handle);
    return {
      assertIntact: (begin, end) => this.#assertIntact(begin, end, hold),
      [Symbol.dispose]: () => addon.release(hold),
    };
  }

  override assertIntact(begin: number, end: number): void {
    this.assertOpen();
    this.#assertIntact(begin, end);
  }

  override assertAllIntact(): void {
    this.assertOpen();
    this.#files.assertAllIntact();
  }

  override fileAt(position: number): FilePlace {
    return this.#files.fileAt(position);
  }

  override checkFiles(): void {
    this.assertOpen();
    this.#files.check();
  }

  #assertIntact(begin: number, end: number, source?: MappingHold): void {
    this.#files.assertIntact(this.dataStart + begin, this.dataStart + end, source);
  }

  override get pages(): Pages {
    this.assertOpen();
    return new MappedPages(this.#handle);
  }

  override gather(runs: Runs): Storage {
    this.assertOpen();
    return new CopyStorage(this, gatherMapped(this.#files, runs).buffer);
  }

  override async gatherAsync(runs: Runs, signal: AbortSignal | undefined): Promise<Storage> {
    this.assertOpen();
    const assertOpen = () => this.assertOpen();
    const copy = await gatherMappedAsync(this.#files, runs, { signal, assertOpen });
    return new CopyStorage(this, copy.buffer);
  }

  override noteCopy(copy: ArrayBuffer): void {
    this.#copies.note(copy);
  }

  override holdCopy(copy: ArrayBuffer): Disposable {
    return this.#copies.hold(copy);
  }

  protected override release(): void {
    this.#copies.keepHeld();
    const addon = native();
    for (const { made } of [...(this.#windows ?? []), ...this.#bridges]) {
      if (made) addon.detach(this.#handle, made.buffer);
    }
    this.#windows = undefined;
    this.#bridges.length = 0;
    this.#last = NONE;
    addon.close(this.#handle);
  }

  #otherWindow(start: number, end: number): Window {
    this.assertOpen();
    // A tensor without bytes needs no memory.
    if (start === end) return { buffer: new ArrayBuffer(0), start };
    return attached(this.#window(start, end));
  }

  #window(start: number, end: number): Window {
    this.#windows ??= this.#plan();
    const planned = findLast(this.#windows, start);
    const window = planned && planned.end >= end ? planned : this.#bridge(start, end, planned);
    window.made ??= this.#make(window);
    this.#last = window.made;
    return window.made;
  }

  /** A window for a slice of a tensor that takes several, when it is in two of those. */
  #bridge(start: number, end: number, first: PlannedWindow | undefined): PlannedWindow {
    const bridge = this.#bridges.find((window) => window.start <= start && window.end >= end);
    if (bridge !== undefined) return bridge;
    const longest = constants.MAX_LENGTH;
    // Half of one window and half of the next, so that one bridge does for most slices.
    const middle = (first?.end ?? start) - longest / 2;
    const from = aligned(start < middle || end > middle + longest ? start : middle);
    if (end - from > longest) {
      throw new RangeError(
        `the tensor has ${end - start} bytes; the longest ArrayBuffer of this runtime has ${longest}`,
      );
    }
    const made = {
      start: from,
      end: Math.min(from + longest, this.#files.byteLength),
      made: undefined,
    };
    this.#bridges.push(made);
    return made;
  }

  #make({ start, end }: PlannedWindow): MadeWindow {
    const buffer = native().mapBuffer(this.#handle, start, end - start);
    if (buffer === undefined) {
      throw new Error('this runtime allows no external ArrayBuffers: use deserialize() instead');
    }
    const weak = this.#weak;
    noteEmptied(buffer, () => weak.deref()?.hold());
    return { buffer: unmovable(buffer), start, end };
  }

  /** As few windows as hold every tensor whole; those that none can hold get several of their own. */
  #plan(): PlannedWindow[] {
    const longest = constants.MAX_LENGTH;
    if (this.#files.byteLength <= longest)
      return [{ start: 0, end: this.#files.byteLength, made: undefined }];
    const { count, columns } = this.table;
    const windows: PlannedWindow[] = [];
    let start = 0;
    let end = 0;
    const finish = () => {
      if (end > start) windows.push({ start, end, made: undefined });
    };
    for (let rank = 0; rank < count; rank++) {
      const entry = this.table.atOffsetRank(rank);
      const tensorStart = this.dataStart + columns.begins[entry];
      const tensorEnd = this.dataStart + columns.ends[entry];
      if (end === start || tensorEnd - start > longest) {
        finish();
        start = aligned(tensorStart);
      }
      for (; tensorEnd - start > longest; start += longest) {
        windows.push({ start, end: start + longest, made: undefined });
      }
      end = tensorEnd;
    }
    finish();
    return windows;
  }
}

/** The last place at or before `start` where a window may begin. */
function aligned(start: number): number {
  return start - (start % WINDOW_ALIGNMENT);
}

function attached(window: Window): Window {
  if (window.buffer.byteLength > 0) return window;
  throw new TypeError('the buffer over the file has been detached: open the file again');
}

/**
 * Node refuses to transfer external buffers to other threads. `transfer()` would get around that: the
 * buffer it makes may be transferred, and Node ends the memory of a thread's external buffers with
 * the thread. It would empty every view of the file besides.
 */
function unmovable(buffer: ArrayBuffer): ArrayBuffer {
  for (const method of ['transfer', 'transferToFixedLength']) {
    if (!(method in buffer)) continue;
    Object.defineProperty(buffer, method, {
      value: () => {
        throw new TypeError(`${method}: the memory belongs to a mapped file; copy it with slice()`);
      },
    });
  }
  return buffer;
}

/** The last window that begins at or before `start`. */
function findLast(windows: readonly PlannedWindow[], start: number): PlannedWindow | undefined {
  let low = 0;
  let high = windows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (windows[middle].start <= start) low = middle + 1;
    else high = middle;
  }
  return windows[low - 1];
}
