import { constants } from 'node:buffer';
import type { HeaderTable } from './header/table.ts';
import { native } from './native.ts';
import type { Runs } from './slice.ts';
import { Storage, type Window } from './storage.ts';

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
    const { buffer } = this.windowFor();
    const copy = allocate(runs);
    native().gather(new Uint8Array(buffer), nativeRuns(runs, this.dataStart), new Uint8Array(copy));
    return new CopyStorage(this, copy);
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

/**
 * Memory for so many runs.
 * @throws {RangeError} when the runtime has no buffer as long as that
 */
export function allocate({ byteLength }: Runs): ArrayBuffer {
  if (byteLength > constants.MAX_LENGTH) {
    throw new RangeError(
      `the slice has ${byteLength} bytes; the longest ArrayBuffer of this runtime has ` +
        `${constants.MAX_LENGTH}`,
    );
  }
  return new ArrayBuffer(byteLength);
}

/** Runs as the addon takes them. */
export function nativeRuns({ begin, runBytes, axes }: Runs, dataStart: number): Float64Array {
  const numbers = [dataStart + begin, runBytes];
  for (const { count, stride } of axes) numbers.push(count, stride);
  return Float64Array.from(numbers);
}
