import { SafetensorsError } from '../index.ts';
import { isNoPickle } from './disguised.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import { beginsLikeNpy } from './numpy/npy.ts';
import { isNpz } from './numpy/numpy.ts';
import { scanNpy } from './numpy/scan.ts';
import { PickleStream } from './pickle/stream.ts';
import type { Trace } from './pickle/trace.ts';
import { salvagePickles } from './salvage.ts';
import { beginsLikePickle, beginsLikeZip, START_BYTES } from './signatures.ts';
import { beginsLikeTar } from './tar-records.ts';
import { salvageTar } from './tar-salvage.ts';
import { readZip } from './zip.ts';

const GLOBAL = 0x63;
/** Of a module and of what is in it, in a line each, as Python would have to find them; or more than was read. */
const NAMES_OF_GLOBAL = /^c[^\s:;,=(){}[\]'"]+($|\n[^\s:;,=(){}[\]'"]+($|\n))/;

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
    const hasArrays = await isNpz(file, await file.read(0, Math.min(START_BYTES, file.size)));
    let problem: SafetensorsError | undefined;
    for (const { name, begin, end } of (await readZip(file, { signal })).values()) {
      signal?.throwIfAborted();
      if (isOne && /^[^/]+\/data\.pkl$/.test(name)) continue;
      const start = await file.read(begin, Math.min(begin + START_BYTES, end));
      const isNamed = /\.(pkl|pickle)$/i.test(name);
      // Data of tensors may begin with anything.
      const isPickle =
        isNamed || (beginsLikePickle(start) && !isText(start) && !/\/data\/\d+$/.test(name));
      const stream = new PickleStream(file, begin, end);
      try {
        // Those of files of arrays have been looked at.
        if (beginsLikeNpy(start) && !hasArrays) {
          await scanNpy(partOf(file, begin, end), name, trace);
        } else if (isPickle) {
          // Whoever reads one may read on where it ends.
          do await stream.next(trace);
          while (stream.at < end);
        }
      } catch (error) {
        const fault = asProblem(error);
        // A text may begin like a pickle too.
        const isNone = !isNamed && stream.at === begin && isNoPickle(start, fault.cause);
        if (!isNone) problem ??= fault;
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

/** Whether what begins with the letter that names a global in a pickle has no names behind it, as texts do. */
function isText(start: Buffer): boolean {
  return start[0] === GLOBAL && !NAMES_OF_GLOBAL.test(start.toString('latin1'));
}

function partOf(file: ByteReader, begin: number, end: number): ByteReader {
  const read = (from: number, to: number) => file.read(begin + from, begin + to);
  return { path: file.path, size: end - begin, read };
}

export function asProblem(error: unknown): SafetensorsError {
  if (error instanceof SafetensorsError) return error;
  throw error;
}
