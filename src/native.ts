import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NativeKernels } from './native-kernels.ts';
import type { NativeOutput } from './native-output.ts';

declare const handleBrand: unique symbol;

/** An open file, or a range that files are mapped into; garbage collection closes it if `close` does not. */
export interface FileHandle {
  readonly [handleBrand]: true;
}

declare const holdBrand: unique symbol;

/** A hold on a mapping; garbage collection ends it if `release` does not. */
export interface MappingHold {
  readonly [holdBrand]: true;
}

declare const weakBrand: unique symbol;

/** A buffer that this does not keep alive. */
export interface WeakBuffer {
  readonly [weakBrand]: true;
}

declare const jobBrand: unique symbol;

/** Threads that page in; garbage collection ends them. */
export interface PageInJob {
  readonly [jobBrand]: true;
}

/** `'auto'`: a file is mapped, unless that is risky where the file is, or refused. */
export type BackendChoice = 'auto' | 'mmap' | 'read';

/** What tells one state of one file from another. */
export interface FileIdentity {
  /** In bytes. */
  readonly size: number;
  readonly device: bigint;
  readonly inode: bigint;
  /** Nanoseconds since 1970. */
  readonly modifiedNs: bigint;
}

export interface OpenedFile extends FileIdentity {
  handle: FileHandle;
  /** Bytes read into the prefix: all of it, unless the file is shorter. */
  prefixBytes: number;
  /** Whether it is mapped; otherwise its bytes are there for {@link NativeAddon.read} alone. */
  mapped: boolean;
  /** Where in the prefix the first byte of a {@link WantedFile}'s text stands that is not ASCII; else 0. */
  asciiEnd: number;
}

/** A file to be mapped into a range. */
export interface WantedFile {
  readonly path: string;
  /** In the range, a multiple of the page. */
  readonly offset: number;
  /** That the file is expected to have. */
  readonly byteLength: number;
  /** For the first bytes of the file. */
  readonly prefix: Uint8Array;
  /** Where text begins in the file. */
  readonly textStart: number;
}

/** `count` names, of which `i` lies at `bytes[starts[i], ends[i])`. */
export type NameParts = [bytes: Uint8Array, starts: Int32Array, ends: Int32Array, count: number];

/** What a `NameIndex` is made of. */
export type NameIndexParts = [...names: NameParts, slots: Int32Array, keys: Int32Array];

/** What a table says of each of its tensors. */
export type TableParts = [
  dtypes: Uint8Array,
  begins: Float64Array,
  ends: Float64Array,
  shapeStarts: Int32Array,
];

/** The header of a shard; `matches`: for each of its `count` entries the one in the model, or -1. */
export type ShardParts = [
  header: Uint8Array,
  count: number,
  matches: Int32Array,
  shard: number,
  dataStart: number,
  ...columns: TableParts,
];

/** The table of a model, and the shard that each entry must be in; `shapes`, `kept`: see `ShapeText`. */
export type ModelParts = [
  count: number,
  ...columns: TableParts,
  shards: Int32Array,
  found: Uint8Array,
  shapes: Uint8Array,
  kept: Int32Array,
];

/** Sizes of files, up to the first that has none. */
export interface FileSizes {
  sizes: number[];
  /** Whether one of them is where mapping is risky. */
  risky: boolean;
  /** Why the file after the last of them has no size. */
  failure?: NativeFailure;
}

/** A failure of a native call, before it is given Node's shape. */
export interface NativeFailure extends Error {
  syscall: string;
  /** Negative, as in Node's own errors. */
  errno?: number;
  /** Where pages are lost, in the mapping or the file that was read. */
  offset?: number;
  /** What the path leads to when it is no regular file: "a FIFO". */
  notAFile?: string;
}

/**
 * The whole native surface. Every range is checked there once more; nothing there knows the format.
 */
export interface NativeAddon extends NativeKernels, NativeOutput {
  /**
   * Opens a regular file, maps it or not, and reads its first bytes into `prefix`, which nobody else may
   * have meanwhile, on another thread.
   */
  open(path: string, prefix: Uint8Array, backend: BackendChoice): Promise<OpenedFile>;
  openSync(path: string, prefix: Uint8Array, backend: BackendChoice): OpenedFile;
  /** What regular file a path leads to. */
  look(path: string): FileIdentity;
  /** Bytes of a page: files are mapped at multiples of it. */
  readonly pageBytes: number;
  /** Sizes of regular files that need not be opened for it; on another thread. */
  fileSizes(paths: readonly string[]): Promise<FileSizes>;
  /**
   * Reserves addresses for files, and no memory. There may be buffers over the range only when files
   * are mapped to all of its pages.
   */
  reserve(byteLength: number): FileHandle;
  /**
   * Opens regular files, maps them into a range if `map`, and reads the first bytes of each as
   * {@link open} does: all on one other thread. A file of another length than expected is neither mapped
   * nor read. Each handle shares the mapping of the range, and closes apart from it. `files` must not
   * change, nor may anybody have their prefixes, before the promise is settled.
   */
  openInto(
    range: FileHandle,
    files: readonly WantedFile[],
    map: boolean,
  ): Promise<(OpenedFile | NativeFailure)[]>;
  /**
   * Reads into `target` from `offset`; returns the bytes read, fewer only at the file's end. Nobody
   * else may have `target` meanwhile: its memory is written to from another thread. `ahead`: what lies
   * behind will be read too.
   */
  read(handle: FileHandle, offset: number, target: Uint8Array, ahead: boolean): Promise<number>;
  readSync(handle: FileHandle, offset: number, target: Uint8Array, ahead: boolean): number;
  /** Nothing can be read any more; the mapping stays. */
  closeDescriptor(handle: FileHandle): void;
  /** Empties the copies and lets go of the mapping, which stays until the last buffer over it is gone or detached. */
  close(handle: FileHandle): void;
  /**
   * An external ArrayBuffer over a range of the mapping, which it keeps alive; `undefined` where
   * the runtime allows no external buffers.
   */
  mapBuffer(handle: FileHandle, offset: number, byteLength: number): ArrayBuffer | undefined;
  /** Whether {@link mapBuffer} makes any. */
  allowsExternalBuffers(): boolean;
  /** A buffer that can be had again as long as somebody else keeps it. */
  weakBuffer(buffer: ArrayBuffer): WeakBuffer;
  derefBuffer(weak: WeakBuffer): ArrayBuffer | undefined;
  /** Keeps the mapping, whatever becomes of the handle, until it is released. */
  hold(handle: FileHandle): MappingHold;
  /** Does nothing when it has been called before. */
  release(hold: MappingHold): void;
  /**
   * Whether the mapping is guarded against the loss of the files' pages: zeros take their place where the
   * process would end by SIGBUS. To be said once, before anything reads its pages or has a buffer over them.
   */
  guard(handle: FileHandle, guarded: boolean): void;
  /** Puts the handler of that signal back where somebody has put theirs in its place. */
  keepGuard(): void;
  /**
   * Where a file first lost a page that has bytes of `[begin, end)`, if one has, since it was mapped; in
   * bytes of the mapping. Of guarded mappings only.
   */
  lostIn(source: FileHandle | MappingHold, begin: number, end: number): number | undefined;
  /** Whether any mapping of the process has ever lost a page. */
  anyLost(): boolean;
  /** The same as {@link lostIn} for memory, whosever it is; in bytes of the file. */
  lostAt(memory: Uint8Array): number | undefined;
  /** The system refused to read the first byte of `memory` (EFAULT): it is lost from now on. */
  noteLost(memory: Uint8Array): void;
  /**
   * Begins to read ranges of the mapping into memory (offset and length in turn), in their order, on so
   * many threads of its own, at most 64. Closing the handle does not end it.
   */
  startPageIn(handle: FileHandle, ranges: Float64Array, threads: number): PageInJob;
  /** Bytes that are in memory so far. */
  pageInBytes(job: PageInJob): number;
  /** Throws what it failed of, a {@link NativeFailure} with `offset`, its place in the mapping. */
  pageInFinished(job: PageInJob): boolean;
  /** What is being read is the last that is. */
  cancelPageIn(job: PageInJob): void;
  /** Bytes of ranges of the mapping that are in memory; on another thread. */
  residentBytes(handle: FileHandle, ranges: Float64Array): Promise<number>;
  /** Gives back the pages that lie wholly in ranges, private copies included; on another thread. */
  dropPages(handle: FileHandle, ranges: Float64Array): Promise<void>;
  /**
   * Puts `count` names into a hash index, in their order, up to the first that is there twice; how many
   * it put there. For what the arguments are, see `NameIndex`.
   */
  indexNames(...index: NameIndexParts): number;
  /**
   * {@link indexNames} on another thread. Nobody may change what the arrays hold, or have `slots`, before
   * the promise is settled.
   */
  indexNamesAsync(...index: NameIndexParts): Promise<number>;
  /** Puts down in `found` where each of other names is in a hash index, or -1. */
  findNames(...parts: [...index: NameIndexParts, ...others: NameParts, found: Int32Array]): void;
  /**
   * Puts down in the model's table what a header says of each entry that has a match of its shard, marks that
   * as found, and takes the match from all others. How many that were; or, of an entry whose match had
   * been found before, -1 - its number, and then what is behind it has not been looked at.
   */
  takeUp(...parts: [...shard: ShardParts, ...model: ModelParts]): number;
  /** Remembers a copy without keeping it alive, for `close` to empty. */
  noteCopy(handle: FileHandle, copy: ArrayBuffer): void;
  /**
   * Empties an ArrayBuffer and every view of it; one over the mapping gives up its hold on it. Does
   * nothing to a buffer that is detached already. False where the runtime refuses (Bun, while it writes to a
   * file from there): its bytes stay then until the buffer is collected.
   */
  detach(handle: FileHandle, buffer: ArrayBuffer): boolean;
  /**
   * Copies runs of bytes, one behind the other, into `target`, which they fill: of that, bytes
   * `[begin, end)`. `runs` is where the first begins and the bytes of each, then count and stride in bytes
   * of each axis, the innermost last. Of a mapped file, pages that no run is in are not read; fails with
   * EFAULT when the file has lost pages.
   */
  gather(
    source: FileHandle | Uint8Array,
    runs: Float64Array,
    target: Uint8Array,
    begin: number,
    end: number,
  ): void;
  /**
   * {@link gather} on another thread. The handle may be closed meanwhile. Nobody else may have
   * `target`.
   */
  gatherAsync(
    handle: FileHandle,
    runs: Float64Array,
    target: Uint8Array,
    begin: number,
    end: number,
  ): Promise<void>;
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Loaded with the module and not when the first file is opened: that is not to wait for it. A
 * failure is kept for when the addon is needed, since reading bytes in memory does without it.
 */
const addon: NativeAddon | Error = loadOrFail();

/** The native addon. */
export function native(): NativeAddon {
  if (addon instanceof Error) throw addon;
  return addon;
}

/** The native addon, where it loads. */
export function loadedNative(): NativeAddon | undefined {
  return addon instanceof Error ? undefined : addon;
}

function loadOrFail(): NativeAddon | Error {
  const require = createRequire(join(root, 'package.json'));
  const findAddon: (directory: string) => NativeAddon = require('node-gyp-build');
  try {
    return findAddon(root);
  } catch (cause) {
    return new Error(
      `safetensors-mmap has no native addon that loads on ${process.platform}-${process.arch}. ` +
        'No prebuilt binary fits, or it was not compiled at install: with a C++20 compiler, ' +
        'run `npm rebuild safetensors-mmap --foreground-scripts`. ' +
        'If npm blocks install scripts, allow those of this package first.',
      { cause },
    );
  }
}
