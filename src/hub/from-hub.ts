import { join, posix } from 'node:path';
import { allocateHeader } from '../header/bytes.ts';
import { openModel, SafetensorsError, type SafetensorsModel } from '../index.ts';
import { INDEX_FILE, SINGLE_FILE } from '../model/shards.ts';
import { parseWeightMap } from '../model/weight-map.ts';
import { CachedCommit, cachedRevision } from './cache.ts';
import { have, sizeOf } from './downloads.ts';
import { hubLibrary } from './library.ts';
import {
  checkedSettings,
  checkIndexLength,
  type HubOptions,
  isIndex,
  type Settings,
} from './options.ts';
import { isCommit, notCached, Repository } from './repository.ts';

/** What a file, or an index, is that was cut short. Others' downloads leave such in the cache. */
const CUT_SHORT =
  /^ERR_SAFETENSORS_(TRUNCATED|TRAILING_BYTES|HEADER_(TOO_SMALL|LENGTH|UTF8|JSON))$/;

/** An index that is cut short hides which shards there are: once for it, once for them. */
const MOST_MENDS = 2;

/**
 * Opens a model of the Hugging Face hub: downloads what the cache does not have, into the cache that
 * Python's huggingface_hub has too, and maps it. Needs the package `@huggingface/hub`. A commit whose files are
 * all there takes no request; a branch or a tag takes one. Files of the cache that turn out to be shorter or longer
 * than the hub's are downloaded again. With `HF_HUB_OFFLINE` the hub is not asked at all.
 *
 * @param repo `'owner/name'`
 * @throws {SafetensorsError} as `openModel`; SHARD_MISSING for a file that the repository does not have,
 *   SHARD_PATH for an index that leads out of its folder, REMOTE_RESPONSE for contents that are not what
 *   the hub says they are
 * @throws the HubApiError of `@huggingface/hub` (401 and 403 for a token, 404 for a repository); the reason of
 *   the signal; failures of the network in Node's own shape, as ECONNREFUSED
 */
export async function fromHub(repo: string, options?: HubOptions): Promise<SafetensorsModel> {
  const settings = checkedSettings(repo, options);
  settings.signal?.throwIfAborted();
  const repository = new Repository(await hubLibrary(), settings);
  const { hub } = repository;
  const name = hub.getRepoFolderName({ name: repo, type: 'model' });
  const folder = join(settings.cacheDir ?? hub.getHFHubCachePath(), name);
  const commit = await (settings.offline ? commitOffline(folder, settings) : repository.commit());
  const cache = new CachedCommit(folder, commit);
  const main = settings.main ?? (await usualFile(cache, repository, settings));
  const files = new Set([main, ...(settings.files ?? [])]);
  for (let mends = 0; ; mends++) {
    try {
      await have([...files], cache, repository, settings);
      if (isIndex(main)) {
        const shards = await shardsOf(main, cache, settings);
        await have(shards, cache, repository, settings);
        for (const shard of shards) files.add(shard);
      }
      await cache.setRevision(settings.revision);
      settings.signal?.throwIfAborted();
      return await openModel(cache.pathOf(main), settings.model);
    } catch (error) {
      const isCut = error instanceof SafetensorsError && CUT_SHORT.test(error.code);
      if (!isCut || mends === MOST_MENDS) throw error;
      if (!(await removeWrong([...files], cache, repository, settings))) throw error;
    }
  }
}

/** @throws {SafetensorsError} SHARD_MISSING */
async function commitOffline(folder: string, settings: Settings): Promise<string> {
  const { revision } = settings;
  const commit = isCommit(revision) ? revision : await cachedRevision(folder, revision);
  if (commit === undefined || !isCommit(commit)) throw notCached(settings);
  return commit;
}

/** The file to open of those that are there: an index first, as where `openModel` is given a folder. */
async function usualFile(
  cache: CachedCommit,
  repository: Repository,
  { repo }: Settings,
): Promise<string> {
  for (const file of [INDEX_FILE, SINGLE_FILE]) if (await cache.has(file)) return file;
  const found = (await repository.describe([SINGLE_FILE, INDEX_FILE])).map(({ path }) => path);
  if (found.length > 0) return found.includes(INDEX_FILE) ? INDEX_FILE : SINGLE_FILE;
  const message = `the repository has neither ${SINGLE_FILE} nor ${INDEX_FILE}: name what to open in \`files\``;
  throw new SafetensorsError('SHARD_MISSING', message, { path: repo });
}

/** The files of an index, as paths of the repository. `openModel` checks that it is what they have. */
async function shardsOf(
  index: string,
  cache: CachedCommit,
  { maxHeaderBytes }: Settings,
): Promise<string[]> {
  checkIndexLength(index, (await cache.byteLength(index)) ?? 0, maxHeaderBytes);
  const text = await cache.read(index);
  const bytes = allocateHeader(text.length);
  text.copy(bytes);
  const { files } = parseWeightMap(bytes, index);
  return files.map((name) => posix.join(posix.dirname(index), name));
}

/**
 * Takes files out of the cache that are not as long as the hub's.
 * @returns Whether there were any; where the hub cannot tell, none.
 */
async function removeWrong(
  files: readonly string[],
  cache: CachedCommit,
  repository: Repository,
  { signal }: Settings,
): Promise<boolean> {
  const found = await repository.describe(files).catch(() => []);
  signal?.throwIfAborted();
  let removed = false;
  for (const file of found) {
    if ((await cache.byteLength(file.path)) === sizeOf(file)) continue;
    await cache.remove(file.path);
    removed = true;
  }
  return removed;
}
