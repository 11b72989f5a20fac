declare const directBrand: unique symbol;

/** A file that is open for writing past the page cache; garbage collection closes it if `closeDirect` does not. */
export interface DirectOutput {
  readonly [directBrand]: true;
}

/** What node:fs has no call for when a file is written. */
export interface NativeOutput {
  /**
   * Gives an open file so many bytes of the disk, on another thread; does nothing where the file
   * system cannot. The descriptor must stay open until the promise is settled.
   */
  preallocate(descriptor: number, length: number): Promise<void>;
  /**
   * Copies a part of one open file into another, on another thread: by sharing blocks where the file
   * system can. Both descriptors must stay open until the promise is settled.
   */
  copyRange(
    source: number,
    sourceOffset: number,
    target: number,
    targetOffset: number,
    length: number,
  ): Promise<void>;
  /**
   * Opens the file that a descriptor is open for, and that has this path, for writing past the page cache;
   * `undefined` where the system has no such thing for it.
   */
  openDirect(path: string, descriptor: number): DirectOutput | undefined;
  /**
   * Writes parts, one behind the other, on another thread; `offset` and their bytes in all are multiples of
   * 4096. False: it does not work for this file, and all of them must be written as usual. Fails with
   * EFAULT, and `offset` in the parts, where memory cannot be read. The parts must not change meanwhile.
   */
  writeDirect(direct: DirectOutput, offset: number, parts: readonly Uint8Array[]): Promise<boolean>;
  /** The descriptor is closed when nothing is being written to it any more. */
  closeDirect(direct: DirectOutput): void;
}
