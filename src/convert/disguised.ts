import { SafetensorsError } from '../index.ts';
import { beginsLikeGguf } from './gguf/gguf.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import { beginsLikeNpy } from './numpy/npy.ts';
import { PickleFault } from './pickle/reader.ts';
import { PickleStream } from './pickle/stream.ts';
import type { Trace } from './pickle/trace.ts';
import { beginsLikeSafetensors, START_BYTES } from './signatures.ts';
import { beginsLikeTar } from './tar-records.ts';

/**
 * What a file of another format would have Python do that took it for a pickle: how a file is read depends on who
 * reads it, and one may be both. Zip files are told by how they begin everywhere.
 *
 * @param trace Filled as far as that gets; what ends it is no fault of the file.
 */
export async function traceDisguised(file: ByteReader, trace: Trace): Promise<void> {
  const start = await file.read(0, Math.min(file.size, START_BYTES));
  if (!beginsLikeGguf(start) && !beginsLikeNpy(start) && !beginsLikeTar(start)) return;
  try {
    await new PickleStream(file).next(trace);
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error;
  }
}

/** Whether a fault is one that Python would have too, of what has begun as a pickle without being one. */
export function isNoPickle(start: Buffer, fault: unknown): boolean {
  if (!(fault instanceof PickleFault)) return false;
  const isMarked = start[0] === 0x80 || start[0] === 0x95;
  // 640 bytes of a header, as a number, are the mark of protocol 2 too.
  if (isMarked && !beginsLikeSafetensors(start)) return false;
  return fault.kind === 'cut' || fault.kind === 'refused';
}
