import { sizeOf, totalBytes, type Weights, writeWeights } from '../files/weights.ts';
import { median } from './compare.ts';
import { interleave } from './interleave.ts';
import { findReaders } from './readers.ts';
import { NotMeasured } from './trial.ts';

/** How fast the disk is read from one end of a file to the other, by whoever is best at it. */
export interface Ceiling {
  /** Of the file. */
  size: string;
  reader: string;
  rounds: number;
  gigabytesPerSecond: number;
}

/** Of the disk that a folder is on, or why it cannot be told. */
export async function measureCeiling(
  folder: string,
  file: Weights,
  rounds: number,
): Promise<Ceiling | string> {
  try {
    const path = writeWeights(folder, file);
    const readers = findReaders();
    const times = await interleave(
      rounds,
      readers.map(
        ({ read }) =>
          () =>
            read(path),
      ),
    );
    const medians = times.map(median);
    const best = medians.indexOf(Math.min(...medians));
    const gigabytesPerSecond = totalBytes(file) / medians[best] / 1e6;
    return { size: sizeOf(file), reader: readers[best].name, rounds, gigabytesPerSecond };
  } catch (error) {
    if (error instanceof NotMeasured) return `not measured: ${error.message}`;
    throw error;
  }
}
