import { SafetensorsError } from '../index.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import { PickleStream } from './pickle/stream.ts';
import type { Trace } from './pickle/trace.ts';
import { salvagePickles } from './salvage.ts';
import { beginsLikeZip, START_BYTES } from './signatures.ts';
import { beginsLikeTar } from './tar-records.ts';
import { salvageTar } from './tar-salvage.ts';
import { readZip } from './zip.ts';

/** What was found in records. */
export interface ScannedRecords {
  readonly problem?: SafetensorsError | undefined;
  /** Whether there are some that PyTorch would read as pickles, though the file is not right. */
  readonly hasPickles: boolean;
}

/** Pickles of an archive beside those of the checkpoint, if it `isOne`: other programs may load them. */
export async function scanRecords(
  file: ByteReader,
  trace: Trace,
  isOne: boolean,
): Promise<ScannedRecords> {
  const start = await file.read(0, Math.min(START_BYTES, file.size));
  if (beginsLikeZip(start))
    return { problem: await scanZip(file, trace, isOne), hasPickles: false };
  // A tar file that is right has no other records.
  if (isOne || !beginsLikeTar(start)) return { hasPickles: false };
  try {
    return { hasPickles: await salvageTar(file, trace) };
  } catch (limit) {
    return { problem: asProblem(limit), hasPickles: true };
  }
}

async function scanZip(
  file: ByteReader,
  trace: Trace,
  isOne: boolean,
): Promise<SafetensorsError | undefined> {
  const { signal } = trace;
  try {
    let problem: SafetensorsError | undefined;
    for (const { name, begin, end } of (await readZip(file, { signal })).values()) {
      signal?.throwIfAborted();
      const first = await file.read(begin, Math.min(begin + 2, end));
      const isPickle = /\.(pkl|pickle)$/i.test(name);
      // Data of tensors may begin with anything; only two bytes in a row are a sign.
      if (!isPickle && !(first[0] === 0x80 && first[1] <= 5 && !/\/data\/\d+$/.test(name)))
        continue;
      if (isOne && /^[^/]+\/data\.pkl$/.test(name)) continue;
      try {
        await new PickleStream(file, begin, end).next(trace);
      } catch (error) {
        problem ??= asProblem(error);
      }
    }
    return problem;
  } catch (error) {
    signal?.throwIfAborted();
    try {
      await salvagePickles(file, trace);
    } catch (limit) {
      return asProblem(limit);
    }
    return asProblem(error);
  }
}

export function asProblem(error: unknown): SafetensorsError {
  if (error instanceof SafetensorsError) return error;
  throw error;
}
