import { sizeOf, totalBytes, type Weights, writeWeights } from '../files/weights.ts';
import { median } from './compare.ts';
import { findReaders } from './readers.ts';
import { NotMeasured } from './trial.ts';

const ROUNDS = 3;

/** How fast the disk is read from one end of a file to the other, by whoever is best at it. */
export interface Ceiling {
  /** Of the file. */
  size: string;
  reader: string;
  gigabytesPerSecond: number;
}

/** Of the disk that a folder is on, or why it cannot be told. */
export async function measureCeiling(
  folder: string,
  file: Weights,
  quick: boolean,
): Promise<Ceiling | string> {
  try {
    const path = writeWeights(folder, file);
    const readers = findReaders();
    const times: number[][] = readers.map(() => []);
    for (let round = 0; round < (quick ? 1 : ROUNDS); round++) {
      for (const [i, reader] of readers.entries()) times[i].push(await reader.read(path));
    }
    const medians = times.map(median);
    const best = medians.indexOf(Math.min(...medians));
    const gigabytesPerSecond = totalBytes(file) / medians[best] / 1e6;
    return { size: sizeOf(file), reader: readers[best].name, gigabytesPerSecond };
  } catch (error) {
    if (error instanceof NotMeasured) return `not measured: ${error.message}`;
    throw error;
  }
}
