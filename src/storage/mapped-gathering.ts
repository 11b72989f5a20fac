import { native } from '../native.ts';
import { pagingError } from '../paging/paging-error.ts';
import type { Runs } from '../slice.ts';
import { allocate, inPieces, LANES, nativeRuns } from './gathering.ts';
import type { MappedFiles } from './mapped-files.ts';

/** Runs of mapped files, in memory of their own. */
export function gatherMapped(files: MappedFiles, runs: Runs): Uint8Array<ArrayBuffer> {
  const target = allocate(runs);
  const numbers = nativeRuns(runs, files.dataStart);
  const first = files.dataStart + runs.begin;
  try {
    native().gather(files.handle, numbers, target, 0, target.length);
  } catch (error) {
    throw pagingError(files, error, first);
  }
  files.assertIntact(first, first + 1);
  return target;
}

/** {@link gatherMapped} on other threads, piece by piece; `assertOpen` says when that has to end. */
export async function gatherMappedAsync(
  files: MappedFiles,
  runs: Runs,
  { signal, assertOpen }: { signal: AbortSignal | undefined; assertOpen: () => void },
): Promise<Uint8Array<ArrayBuffer>> {
  const addon = native();
  const target = allocate(runs);
  const numbers = nativeRuns(runs, files.dataStart);
  const first = files.dataStart + runs.begin;
  await inPieces(runs, { lanes: LANES, signal }, async (begin, end) => {
    assertOpen();
    await addon.gatherAsync(files.handle, numbers, target, begin, end).catch((error) => {
      throw pagingError(files, error, first);
    });
  });
  assertOpen();
  files.assertIntact(first, first + 1);
  return target;
}
