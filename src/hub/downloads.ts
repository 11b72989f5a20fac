import type { CachedCommit } from './cache.ts';
import type { RemoteFile } from './library.ts';
import { checkIndexLength, isIndex, type Settings } from './options.ts';
import { missing, type Repository } from './repository.ts';

/** Files that are downloaded at once. */
const LANES = 4;

export function sizeOf({ size, lfs }: RemoteFile): number {
  return lfs?.size ?? size;
}

/** Has files in the cache; the first failure ends all. */
export async function have(
  files: readonly string[],
  cache: CachedCommit,
  repository: Repository,
  settings: Settings,
): Promise<void> {
  const { onProgress, signal, maxHeaderBytes } = settings;
  const there = await Promise.all(files.map((file) => cache.has(file)));
  const wanted = files.filter((_, place) => !there[place]);
  if (wanted.length === 0) return;
  const found = await repository.describe(wanted);
  const names = new Set(found.map(({ path }) => path));
  const gone = wanted.find((file) => !names.has(file));
  if (gone !== undefined) throw missing(settings, gone);
  for (const file of found) {
    if (isIndex(file.path)) checkIndexLength(file.path, sizeOf(file), maxHeaderBytes);
  }
  const totalBytes = found.reduce((sum, file) => sum + sizeOf(file), 0);
  let bytes = 0;
  const count = (more: number, file: string) => {
    bytes += more;
    onProgress?.({ bytes, totalBytes, file });
  };
  const failure = new AbortController();
  const either = signal ? AbortSignal.any([signal, failure.signal]) : failure.signal;
  async function* counted(file: string): AsyncGenerator<Uint8Array> {
    for await (const piece of repository.download(file, either)) {
      either.throwIfAborted();
      yield piece;
      count(piece.length, file);
    }
  }
  const left = found.values();
  const work = async () => {
    for (const file of left) {
      either.throwIfAborted();
      const downloaded = await cache.add(file, () => counted(file.path));
      if (!downloaded) count(sizeOf(file), file.path);
    }
  };
  const lanes = Array.from({ length: Math.min(LANES, found.length) }, work);
  try {
    await Promise.all(lanes);
  } catch (error) {
    failure.abort(error);
    // What they have begun to write is removed.
    await Promise.allSettled(lanes);
    throw error;
  }
}
