import { type FileHandle, native } from '../native.ts';
import { noteEmptied } from './emptied-buffers.ts';

interface HeldCopy {
  memory: ArrayBuffer;
  holds: number;
}

/**
 * Buffers with copies of a container's bytes, which closing it empties. Nothing here keeps them alive
 * but holds.
 */
export class Copies {
  readonly #handle: FileHandle;
  readonly #held = new Map<ArrayBuffer, HeldCopy>();
  /** For buffers, which must not keep all this as long as they live. */
  readonly #weak = new WeakRef<Copies>(this);

  /** Closing `handle` is what empties them. */
  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  note(copy: ArrayBuffer): void {
    native().noteCopy(this.#handle, copy);
    const weak = this.#weak;
    noteEmptied(copy, () => weak.deref()?.hold(copy));
  }

  /** Keeps the memory of a copy where it is, also when it is emptied. */
  hold(copy: ArrayBuffer): Disposable {
    const held = this.#held.get(copy) ?? { memory: copy, holds: 0 };
    held.holds++;
    this.#held.set(copy, held);
    let holding = true;
    return {
      [Symbol.dispose]: () => {
        if (holding && --held.holds === 0) this.#held.delete(copy);
        holding = false;
      },
    };
  }

  /**
   * Before all are emptied. Those that other threads read from keep their memory: it moves to a buffer that
   * nobody knows; where a runtime refuses that (Bun, while it writes to a file from there), it refuses to
   * empty them too.
   */
  keepHeld(): void {
    for (const held of this.#held.values()) held.memory = moved(held.memory);
  }
}

function moved(memory: ArrayBuffer): ArrayBuffer {
  if (memory.byteLength === 0) return memory;
  try {
    return structuredClone(memory, { transfer: [memory] });
  } catch {
    return memory;
  }
}
