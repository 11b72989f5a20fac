import { constants } from 'node:buffer';
import type { Extent } from './blocks.ts';
import type { ByteReader } from './byte-reader.ts';

/**
 * Bytes that one read has: enough for the way to another thread not to matter, and so few that it keeps
 * neither a signal waiting nor libuv's threads from others for long.
 */
export const PIECE_BYTES = 8 * 2 ** 20;

export interface Filling {
  /** Where the data begins, as positions of the reader count. */
  readonly dataStart: number;
  /** Reads under way at once. */
  readonly lanes: number;
  /** Looked at before each read. What is being read then is the last that is. */
  readonly stopped: () => boolean;
  /** Told of the bytes of each read. */
  readonly onBytes?: (bytes: number) => void;
  /** Has an extent whose bytes are all there. */
  readonly onFilled: (extent: Extent, buffer: ArrayBuffer) => void;
}

interface Piece {
  readonly extent: Extent;
  readonly buffer: ArrayBuffer;
  /** In the extent. */
  readonly begin: number;
  readonly end: number;
  readonly left: { pieces: number };
}

/**
 * Memory for so many bytes.
 * @throws {RangeError} when the runtime has no buffer as long as that, or no memory
 */
export function allocateBlock(byteLength: number): ArrayBuffer {
  if (byteLength > constants.MAX_LENGTH) {
    throw new RangeError(
      `the tensor has ${byteLength} bytes; the longest ArrayBuffer of this runtime has ` +
        `${constants.MAX_LENGTH}: use slices`,
    );
  }
  return new ArrayBuffer(byteLength);
}

/**
 * Reads extents, each into a buffer of its own, in their order and several pieces at once. Resolves when
 * all are read or it is stopped, rejects with the first failure; nothing is being read then.
 */
export async function fillBlocks(
  reader: ByteReader,
  extents: Iterable<Extent>,
  { dataStart, lanes, stopped, onBytes, onFilled }: Filling,
): Promise<void> {
  const pieces = piecesOf(extents);
  let failed = false;
  const lane = async () => {
    try {
      while (!failed && !stopped()) {
        const { done, value: piece } = pieces.next();
        if (done) return;
        const { extent, buffer, begin, end, left } = piece;
        const target = new Uint8Array(buffer, begin, end - begin);
        await reader.read(dataStart + extent.begin + begin, target);
        onBytes?.(end - begin);
        if (--left.pieces === 0 && !stopped()) onFilled(extent, buffer);
      }
    } catch (error) {
      failed = true;
      throw error;
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: lanes }, lane));
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure) throw failure.reason;
}

function* piecesOf(extents: Iterable<Extent>): Generator<Piece, void, undefined> {
  for (const extent of extents) {
    const byteLength = extent.end - extent.begin;
    const buffer = allocateBlock(byteLength);
    const left = { pieces: Math.ceil(byteLength / PIECE_BYTES) };
    for (let begin = 0; begin < byteLength; begin += PIECE_BYTES) {
      yield { extent, buffer, begin, end: Math.min(begin + PIECE_BYTES, byteLength), left };
    }
  }
}
