import { constants } from 'node:buffer';
import { unlessAborted } from '../abort.ts';
import type { Runs } from '../slice.ts';

/** Pieces that are copied at once: of libuv's four threads, unless it is told otherwise, one stays for others. */
export const LANES = 3;

/**
 * About the bytes that the pages of a piece have: enough for the way to another thread not to matter,
 * and so few that a piece keeps neither the event loop nor libuv's threads from others for long.
 */
const PIECE_BYTES = 8 * 2 ** 20;

/** What a run costs at least that is alone on its page. */
const PAGE_BYTES = 4096;

/**
 * Memory for runs to be copied to.
 * @throws {RangeError} when the runtime has no buffer as long as that, or no memory
 */
export function allocate({ byteLength }: Runs): Uint8Array<ArrayBuffer> {
  if (byteLength > constants.MAX_LENGTH) {
    throw new RangeError(
      `the slice has ${byteLength} bytes; the longest ArrayBuffer of this runtime has ` +
        `${constants.MAX_LENGTH}`,
    );
  }
  return new Uint8Array(byteLength);
}

/** Runs as the addon takes them; `dataStart` is where their data begins. */
export function nativeRuns({ begin, runBytes, axes }: Runs, dataStart: number): Float64Array {
  const numbers = [dataStart + begin, runBytes];
  for (const { count, stride } of axes) numbers.push(count, stride);
  return Float64Array.from(numbers);
}

/**
 * Calls `copy` for bytes `[begin, end)` of the target until it has them all, so many calls at once.
 * Rejects at once with the reason of the signal, and with what a call fails of; calls that are under way
 * then go on to their end.
 */
export async function inPieces(
  runs: Runs,
  { lanes, signal }: { lanes: number; signal: AbortSignal | undefined },
  copy: (begin: number, end: number) => Promise<void>,
): Promise<void> {
  const piece = pieceBytes(runs);
  let next = 0;
  let failed = false;
  const lane = async () => {
    try {
      while (next < runs.byteLength && !failed && !signal?.aborted) {
        const begin = next;
        next = Math.min(begin + piece, runs.byteLength);
        await copy(begin, next);
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  await unlessAborted(Promise.all(Array.from({ length: lanes }, lane)), signal);
}

/** Bytes of the target that come from {@link PIECE_BYTES} of pages, in whole runs where they fit. */
function pieceBytes({ runBytes, axes, byteLength }: Runs): number {
  const cost = axes.reduceRight(
    (inner, { count, stride }) => count * Math.max(inner, Math.min(Math.abs(stride), PAGE_BYTES)),
    runBytes,
  );
  const bytes = Math.max(1, Math.floor((byteLength / cost) * PIECE_BYTES));
  return bytes < runBytes ? bytes : bytes - (bytes % runBytes);
}
