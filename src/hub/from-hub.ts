import { join, posix } from 'node:path';
import { allocateHeader } from '../header/bytes.ts';
import { openModel, SafetensorsError, type SafetensorsModel } from '../index.ts';
import { parseWeightMap } from '../model/weight-map.ts';
import { CachedCommit } from './cache.ts';
import { hubFetch } from './hub-fetch.ts';
import { type HubLibrary, hubLibrary, type RemoteFile } from './library.ts';
import { checkedSettings, type HubOptions, type Settings } from './options.ts';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const COMMIT = /^[0-9a-f]{40}$/;

/** Files that are downloaded at once. */
const LANES = 4;

/** Paths that the hub is asked about at once. */
const MOST_PATHS = 500;

/**
 * Opens a model of the Hugging Face hub: downloads what the cache does not have, into the cache that
 * Python's huggingface_hub has too, and maps it. Needs the package `@huggingface/hub`. A commit whose files are
 * all there takes no request; a branch or a tag takes one.
 *
 * @param repo `'owner/name'`
 * @throws {SafetensorsError} as `openModel`; SHARD_MISSING for a file that the repository does not have,
 *   SHARD_PATH for an index that leads out of its folder, REMOTE_RESPONSE for contents that are not what
 *   the hub says they are
 * @throws the HubApiError of `@huggingface/hub` (401 and 403 for a token, 404 for a repository); the reason of
 *   the signal
 */
export async function fromHub(repo: string, options?: HubOptions): Promise<SafetensorsModel> {
  const settings = checkedSettings(repo, options);
  settings.signal?.throwIfAborted();
  const repository = new Repository(await hubLibrary(), settings);
  const commit = await repository.commit();
  const { hub } = repository;
  const folder = hub.getRepoFolderName({ name: repo, type: 'model' });
  const cache = new CachedCommit(
    join(settings.cacheDir ?? hub.getHFHubCachePath(), folder),
    commit,
  );
  const main = await mainFile(cache, repository, settings);
  await have([...new Set([main, ...(settings.files ?? [])])], cache, repository, settings);
  if (isIndex(main)) {
    await have(await shardsOf(main, cache, settings), cache, repository, settings);
  }
  await cache.setRevision(settings.revision);
  settings.signal?.throwIfAborted();
  return openModel(cache.pathOf(main), settings.model);
}

/** A repository on the hub, at one commit. */
class Repository {
  readonly hub: HubLibrary;
  readonly #settings: Settings;
  #commit: string;

  constructor(hub: HubLibrary, settings: Settings) {
    this.hub = hub;
    this.#settings = settings;
    this.#commit = settings.revision;
  }

  get #how() {
    const { hubUrl, accessToken } = this.#settings;
    return {
      hubUrl: hubUrl.replace(/\/$/, ''),
      ...(accessToken === undefined ? {} : { accessToken }),
      fetch: hubFetch(this.#settings),
    };
  }

  /** The commit that the revision is at. */
  async commit(): Promise<string> {
    const { repo: name, revision } = this.#settings;
    if (COMMIT.test(revision)) return revision;
    const asked = { ...this.#how, name, revision, additionalFields: ['sha'] as ['sha'] };
    const { sha } = await this.hub.modelInfo(asked);
    if (!sha || !COMMIT.test(sha)) {
      throw new SafetensorsError('REMOTE_RESPONSE', 'the hub has no commit of it', { path: name });
    }
    this.#commit = sha;
    return sha;
  }

  /** Those of the files that there are. */
  async describe(paths: readonly string[]): Promise<RemoteFile[]> {
    const { repo } = this.#settings;
    const found: RemoteFile[] = [];
    for (let at = 0; at < paths.length; at += MOST_PATHS) {
      const some = paths.slice(at, at + MOST_PATHS);
      const asked = { ...this.#how, repo, revision: this.#commit, paths: some };
      found.push(...(await this.hub.pathsInfo(asked)));
    }
    return found.filter(({ path, type }) => type === 'file' && paths.includes(path));
  }

  async *download(path: string): AsyncGenerator<Uint8Array> {
    const { repo, signal } = this.#settings;
    const blob = await this.hub.downloadFile({ ...this.#how, repo, path, revision: this.#commit });
    if (!blob) throw missing(path);
    try {
      yield* blob.stream() as unknown as AsyncIterable<Uint8Array>;
    } catch (error) {
      signal?.throwIfAborted();
      // Of what goes wrong after the first answer, the library gives the message alone.
      throw typeof error === 'string' ? broken(path, error) : error;
    }
  }
}

function missing(file: string): SafetensorsError {
  return new SafetensorsError('SHARD_MISSING', 'the repository has no such file', { path: file });
}

/** Without what is behind a `?`, or before an `@`: it may open the file. */
function broken(file: string, message: string): SafetensorsError {
  const shown = message.replace(/\?[^\s"'<>]*/g, '').replace(/\/\/[^\s/]*@/g, '//');
  return new SafetensorsError('REMOTE_RESPONSE', `the download broke off: ${shown}`, {
    path: file,
  });
}

function isIndex(file: string): boolean {
  return file.endsWith('.index.json');
}

/**
 * The file to open: of those that are wanted, else of those that are there; an index first, as where `openModel`
 * is given a folder.
 */
async function mainFile(
  cache: CachedCommit,
  repository: Repository,
  { files, repo }: Settings,
): Promise<string> {
  if (files !== undefined) {
    const indexes = files.filter(isIndex);
    const weights = files.filter((file) => file.endsWith('.safetensors'));
    if (indexes.length === 1) return indexes[0];
    if (indexes.length === 0 && weights.length === 1) return weights[0];
    throw new TypeError('files: expected one index, or one .safetensors file');
  }
  for (const file of [INDEX, SINGLE]) if (await cache.has(file)) return file;
  const found = (await repository.describe([SINGLE, INDEX])).map(({ path }) => path);
  if (found.length > 0) return found.includes(INDEX) ? INDEX : SINGLE;
  const message = `the repository has neither ${SINGLE} nor ${INDEX}: name what to open in \`files\``;
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
  const { files } = parseWeightMap({ bytes, isAscii: false, marks: new Int32Array(0) }, index);
  return files.map((name) => posix.join(posix.dirname(index), name));
}

/** @throws {SafetensorsError} HEADER_TOO_LARGE */
function checkIndexLength(path: string, byteLength: number, most: number): void {
  if (byteLength <= most) return;
  const message = `the index has ${byteLength} bytes, over maxHeaderBytes, ${most}`;
  throw new SafetensorsError('HEADER_TOO_LARGE', message, { path });
}

/** Has files in the cache. */
async function have(
  files: readonly string[],
  cache: CachedCommit,
  repository: Repository,
  { onProgress, signal, maxHeaderBytes }: Settings,
): Promise<void> {
  const there = await Promise.all(files.map((file) => cache.has(file)));
  const wanted = files.filter((_, place) => !there[place]);
  if (wanted.length === 0) return;
  const found = await repository.describe(wanted);
  const names = new Set(found.map(({ path }) => path));
  const gone = wanted.find((file) => !names.has(file));
  if (gone !== undefined) throw missing(gone);
  for (const { path, size, lfs } of found) {
    if (isIndex(path)) checkIndexLength(path, lfs?.size ?? size, maxHeaderBytes);
  }
  const totalBytes = found.reduce((sum, { size, lfs }) => sum + (lfs?.size ?? size), 0);
  let bytes = 0;
  async function* counted(file: string): AsyncGenerator<Uint8Array> {
    for await (const piece of repository.download(file)) {
      signal?.throwIfAborted();
      yield piece;
      bytes += piece.length;
      onProgress?.({ bytes, totalBytes, file });
    }
  }
  const left = found.values();
  let failed = false;
  const work = async () => {
    for (const file of left) {
      if (failed) return;
      await cache.add(file, () => counted(file.path));
    }
  };
  const lanes = Array.from({ length: Math.min(LANES, found.length) }, () =>
    work().catch((error) => {
      failed = true;
      throw error;
    }),
  );
  const ended = await Promise.allSettled(lanes);
  for (const lane of ended) if (lane.status === 'rejected') throw lane.reason;
}
