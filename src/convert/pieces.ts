import { native } from '../native.ts';
import { flipSigns, swapBytes } from './elements.ts';
import { blocksOf } from './geometry.ts';
import type { MappedCheckpoint } from './mapped-checkpoint.ts';
import type { CheckpointTensor } from './plan.ts';
import { roundTo, type TargetDtype, writtenDtype } from './target.ts';

/** Bytes of a tensor that are in memory at once, where they cannot be written from where they are. */
export const PIECE_BYTES = 4 * 2 ** 20;

/** A tensor on its way into a file. */
export interface Passage {
  readonly file: MappedCheckpoint;
  readonly tensor: CheckpointTensor;
  /** What it is rounded to. */
  readonly target: TargetDtype | undefined;
}

/** Whether its bytes are written as they are in the file. */
export function isAsItIs({ tensor, target }: Passage): boolean {
  const { geometry, changes, dtype, place } = tensor;
  return (
    place.packed === undefined &&
    geometry.contiguous &&
    changes.swappedBytes === 1 &&
    !changes.negative &&
    !changes.conjugate &&
    writtenDtype(dtype, target) === dtype
  );
}

/**
 * The bytes of a tensor as they are to be written, front to back. Where they need no change they are
 * views of the mapping; else pieces in memory that is used again for the next.
 *
 * @param scratch {@link PIECE_BYTES} that nobody else uses meanwhile.
 */
export async function* piecesOf(passage: Passage, scratch: Buffer): AsyncGenerator<Uint8Array> {
  const { file, tensor } = passage;
  const { geometry, place } = tensor;
  if (geometry.elements === 0) return;
  if (!isAsItIs(passage) || (place.bytes === undefined && !file.hasViews)) {
    yield* copiesOf(passage, scratch);
  } else if (place.bytes !== undefined) yield place.bytes;
  else yield* file.views(place.begin + geometry.begin, place.begin + geometry.end);
}

/** {@link piecesOf}, always in memory of our own: for whoever looks at the bytes. */
export async function* copiesOf(passage: Passage, scratch: Buffer): AsyncGenerator<Uint8Array> {
  const { file, tensor, target } = passage;
  const { geometry, place, changes, dtype } = tensor;
  const { elementBytes } = geometry;
  const written = writtenDtype(dtype, target);
  // In order they are inflated as they are needed; else they are in memory first.
  const stream = geometry.contiguous ? await place.packed?.open() : undefined;
  const heap = stream === undefined ? await inHeap(passage) : undefined;
  try {
    for (const { byteLength, runs } of blocksOf(geometry, place.begin, PIECE_BYTES)) {
      const piece = scratch.subarray(0, byteLength);
      if (stream !== undefined) await stream.readInto(piece);
      else if (heap !== undefined) gatherFrom(heap, runs, piece);
      else if (runs.length === 2) await file.readInto(runs[0], piece);
      else await file.gather(runs, piece, tensor.name);
      swapBytes(piece, changes.swappedBytes);
      flipSigns(piece, changes, { elementBytes, complex: dtype === 'C64' });
      yield written === dtype || target === undefined
        ? piece
        : await roundTo(piece, dtype, elementBytes, target);
    }
    await stream?.end();
  } finally {
    stream?.close();
    heap?.letGo?.();
  }
}

/** Bytes in memory, and where they begin, as runs count. */
interface HeapBytes {
  readonly bytes: Uint8Array;
  readonly start: number;
  /** To be called when they are not needed any more. */
  readonly letGo?: () => void;
}

/** What is in memory already; or has to be, all of it, where elements lie apart in a file that is not mapped. */
async function inHeap({ file, tensor }: Passage): Promise<HeapBytes | undefined> {
  const { place, geometry } = tensor;
  const start = place.begin + geometry.begin;
  if (place.bytes !== undefined) return { bytes: place.bytes, start: place.begin };
  if (place.packed !== undefined) return { ...(await place.packed.whole()), start };
  if (file.mapped || geometry.contiguous) return undefined;
  return { bytes: await file.read(start, place.begin + geometry.end), start };
}

function gatherFrom({ bytes, start }: HeapBytes, runs: Float64Array, target: Uint8Array): void {
  const fromStart = runs.slice();
  fromStart[0] -= start;
  native().gather(bytes, fromStart, target, 0, target.length);
}
