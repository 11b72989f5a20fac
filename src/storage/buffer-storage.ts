import { setImmediate } from 'node:timers/promises';
import type { HeaderTable } from '../header/table.ts';
import { native } from '../native.ts';
import type { Runs } from '../slice.ts';
import { allocate, inPieces, nativeRuns } from './gathering.ts';
import { type Backend, Storage, type Window } from './storage.ts';

/** Tensors in one buffer. */
export abstract class BufferStorage extends Storage {
  readonly #window: Window;

  constructor(
    table: HeaderTable,
    dataStart: number,
    path: string | undefined,
    buffer: ArrayBufferLike,
  ) {
    super(table, dataStart, path);
    this.#window = { buffer, start: 0 };
  }

  override windowFor(): Window {
    this.assertOpen();
    return this.#window;
  }

  override windowAt(): Window {
    return this.windowFor();
  }

  override gather(runs: Runs): Storage {
    const target = allocate(runs);
    this.#gatherPart(nativeRuns(runs, this.dataStart), target, 0, target.length);
    return new CopyStorage(this, target.buffer);
  }

  override async gatherAsync(runs: Runs, signal: AbortSignal | undefined): Promise<Storage> {
    const target = allocate(runs);
    const numbers = nativeRuns(runs, this.dataStart);
    // On this thread: the memory may be moved or shrunk while another reads from it.
    await inPieces(runs, { lanes: 1, signal }, async (begin, end) => {
      this.#gatherPart(numbers, target, begin, end);
      await setImmediate();
    });
    this.assertOpen();
    return new CopyStorage(this, target.buffer);
  }

  #gatherPart(runs: Float64Array, target: Uint8Array, begin: number, end: number): void {
    const { buffer } = this.windowFor();
    native().gather(new Uint8Array(buffer), runs, target, begin, end);
  }
}

/** A copy of some of a container's bytes, which belongs to the tensor that is over it. */
export class CopyStorage extends BufferStorage {
  readonly #origin: Storage;
  readonly #copy: ArrayBuffer;

  constructor(origin: Storage, copy: ArrayBuffer) {
    super(origin.table, 0, origin.path, copy);
    this.#origin = origin;
    this.#copy = copy;
    origin.noteCopy(copy);
  }

  override get backend(): Backend {
    return this.#origin.backend;
  }

  override get closed(): boolean {
    return this.#origin.closed;
  }

  override get isCopy(): boolean {
    return true;
  }

  override hold(): Disposable {
    this.assertOpen();
    return this.#origin.holdCopy(this.#copy);
  }

  override noteCopy(copy: ArrayBuffer): void {
    this.#origin.noteCopy(copy);
  }

  override holdCopy(copy: ArrayBuffer): Disposable {
    return this.#origin.holdCopy(copy);
  }

  protected override release(): void {
    // Closed by closing the container.
  }
}
