import { native, type WeakBuffer } from '../native.ts';

/** Bytes of the data that are read at once, into a buffer of their own: a tensor, unless it is too long. */
export interface Extent {
  /** In bytes from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

/**
 * Buffers with extents of the data, by where those begin. Each goes when nobody has a view of it any
 * more, unless it is kept.
 */
export class Blocks {
  readonly #weak = new Map<number, WeakBuffer>();
  readonly #kept = new Map<number, ArrayBuffer>();

  /** The buffer of an extent; not one that JavaScript has moved to another. */
  get({ begin }: Extent): ArrayBuffer | undefined {
    const weak = this.#weak.get(begin);
    if (weak === undefined) return undefined;
    const buffer = native().derefBuffer(weak);
    if (buffer !== undefined && buffer.byteLength > 0) return buffer;
    this.#weak.delete(begin);
    this.#kept.delete(begin);
    return undefined;
  }

  put({ begin }: Extent, buffer: ArrayBuffer): void {
    this.#weak.set(begin, native().weakBuffer(buffer));
  }

  /** Keeps a buffer that has been put here. */
  keep({ begin }: Extent, buffer: ArrayBuffer): void {
    this.#kept.set(begin, buffer);
  }

  /** Keeps it no longer. */
  drop({ begin }: Extent): void {
    this.#kept.delete(begin);
  }

  /** All that somebody has. */
  alive(): ArrayBuffer[] {
    const begins = [...this.#weak.keys()];
    return begins.map((begin) => this.get({ begin, end: begin })).filter((b) => b !== undefined);
  }

  clear(): void {
    this.#weak.clear();
    this.#kept.clear();
  }
}
