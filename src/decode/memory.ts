import { inspect, types } from 'node:util';
import { SafetensorsError } from '../errors.ts';
import { type NativeFailure, native } from '../native.ts';
import { LOST_PAGES, lostMessage } from '../paging/paging-error.ts';
import type { ByteSource } from '../write/source.ts';

/**
 * Results of so many bytes are written around the caches. Measured: into memory that has been touched
 * before, twice as fast as through them for 64 MiB, and equally fast for 4 MiB.
 */
const LARGE_BYTES = 8 * 2 ** 20;

export function isLarge({ byteLength }: ArrayBufferView): boolean {
  return byteLength >= LARGE_BYTES;
}

/** Memory for results: the caller's `out`, checked, or memory of its own. */
export interface Target {
  readonly memory: Float32Array;
  /** Elements that it had when it was checked. */
  readonly length: number;
  /** See {@link isLarge}. */
  readonly large: boolean;
}

/**
 * @throws {TypeError} for an `out` that is no Float32Array, or, when it must stay (`asynchronous`), one
 * over memory that can be resized
 * @throws {RangeError} for one of another length, or when no array can be so long
 */
export function checkTarget(
  out: Float32Array | undefined,
  length: number,
  asynchronous: boolean,
): Target {
  const memory = out === undefined ? freshFloats(length) : out;
  if (!types.isFloat32Array(memory)) {
    throw new TypeError(`out: expected a Float32Array, found ${inspect(memory, { depth: 0 })}`);
  }
  if (memory.length !== length) {
    throw new RangeError(`out: expected ${length} elements, found ${memory.length}`);
  }
  if (asynchronous) checkStaying(memory, 'out');
  return { memory, length, large: isLarge(memory) };
}

/**
 * Elements `[begin, end)` of a target, which is apart from the sources that they are made from.
 * @throws {TypeError} when its memory has been moved to another buffer meanwhile
 * @throws {RangeError} when results would be written over a source
 */
export function resultsOf(
  { memory, length }: Target,
  begin: number,
  end: number,
  sources: readonly ArrayBufferView[],
): Float32Array {
  if (memory.length !== length) {
    throw new TypeError(`out: expected ${length} elements until all are written, found it moved`);
  }
  for (const source of sources) checkApart(source, memory);
  return memory.subarray(begin, end);
}

function freshFloats(length: number): Float32Array {
  let memory: Float32Array;
  try {
    memory = new Float32Array(length);
  } catch (cause) {
    throw new RangeError(`this runtime has no Float32Array of ${length} elements`, { cause });
  }
  // Nearly twice as fast to fill as with small pages, where the system leaves it to programs.
  if (isLarge(memory)) native().preferHugePages(memory);
  return memory;
}

/** @throws {TypeError} for memory that could be taken away from another thread */
export function checkStaying(view: ArrayBufferView, what: string): void {
  if (!isResizable(view)) return;
  throw new TypeError(`${what}: expected memory of a fixed length, found a resizable ArrayBuffer`);
}

/** Whether memory can be taken away by `resize`. (What is shared can only grow.) */
export function isResizable({ buffer }: ArrayBufferView): boolean {
  // TypeScript's library has `resizable` from ES2024 on, Node 20 too.
  return 'resizable' in buffer && buffer.resizable === true;
}

/** @throws {RangeError} when results would be written over what they are made from */
export function checkApart(source: ArrayBufferView, target: ArrayBufferView): void {
  if (source.buffer !== target.buffer) return;
  const sourceEnd = source.byteOffset + source.byteLength;
  const targetEnd = target.byteOffset + target.byteLength;
  if (sourceEnd <= target.byteOffset || targetEnd <= source.byteOffset) return;
  throw new RangeError('out: expected memory apart from the source, found it overlapping');
}

/** A failure of the addon as the caller is to see it; any other error, the reason of a signal too, as it is. */
export function decodeError(error: unknown, path: string | undefined, tensor?: string): unknown {
  if (!(error instanceof Error)) return error;
  const { errno, offset } = error as NativeFailure;
  if (errno !== LOST_PAGES) return error;
  return new SafetensorsError('FILE_CHANGED', lostMessage(offset), { path, tensor, cause: error });
}

/** Bytes `[begin, end)` in one piece: without copying wherever one buffer has them all. */
export function bytesOf(
  source: Pick<ByteSource, 'bytes' | 'assertIntact'>,
  begin: number,
  end: number,
): Uint8Array {
  const first = source.bytes(begin, end);
  if (first.length === end - begin) return first;
  const copy = new Uint8Array(end - begin);
  for (let part = first, at = 0; ; part = source.bytes(begin + at, end)) {
    copy.set(part, at);
    at += part.length;
    if (at < copy.length) continue;
    source.assertIntact();
    return copy;
  }
}
