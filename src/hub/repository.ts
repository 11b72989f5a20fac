import { SafetensorsError } from '../index.ts';
import { hubFetch } from './hub-fetch.ts';
import type { HubLibrary, RemoteFile } from './library.ts';
import type { Settings } from './options.ts';

const COMMIT = /^[0-9a-f]{40}$/;

/** Paths that the hub is asked about at once. */
const MOST_PATHS = 500;

type Place = Pick<Settings, 'repo' | 'revision'>;

/** Whether a revision is a commit, which stays what it is. */
export function isCommit(revision: string): boolean {
  return COMMIT.test(revision);
}

/** A repository on the hub, at one commit. */
export class Repository {
  readonly hub: HubLibrary;
  readonly #settings: Settings;
  #commit: string;

  constructor(hub: HubLibrary, settings: Settings) {
    this.hub = hub;
    this.#settings = settings;
    this.#commit = settings.revision;
  }

  #how(signal = this.#settings.signal) {
    const { hubUrl, accessToken } = this.#settings;
    return {
      hubUrl: hubUrl.replace(/\/$/, ''),
      ...(accessToken === undefined ? {} : { accessToken }),
      fetch: hubFetch({ hubUrl, accessToken, signal }),
    };
  }

  /** The commit that the revision is at. */
  async commit(): Promise<string> {
    const { repo: name, revision } = this.#settings;
    if (isCommit(revision)) return revision;
    const asked = { ...this.#how(), name, revision, additionalFields: ['sha'] as ['sha'] };
    const { sha } = await this.hub.modelInfo(asked);
    if (!sha || !isCommit(sha)) {
      throw new SafetensorsError('REMOTE_RESPONSE', 'the hub has no commit of it', { path: name });
    }
    this.#commit = sha;
    return sha;
  }

  /**
   * Those of the files that there are.
   * @throws {SafetensorsError} SHARD_MISSING when the hub may not be asked
   */
  async describe(paths: readonly string[]): Promise<RemoteFile[]> {
    const { repo, offline } = this.#settings;
    if (offline) throw notCached(this.#settings, paths[0]);
    const found: RemoteFile[] = [];
    for (let at = 0; at < paths.length; at += MOST_PATHS) {
      const some = paths.slice(at, at + MOST_PATHS);
      const asked = { ...this.#how(), repo, revision: this.#commit, paths: some };
      found.push(...(await this.hub.pathsInfo(asked)));
    }
    return found.filter(({ path, type }) => type === 'file' && paths.includes(path));
  }

  async *download(path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { repo } = this.#settings;
    const asked = { ...this.#how(signal), repo, path, revision: this.#commit };
    const blob = await this.hub.downloadFile(asked);
    if (!blob) throw missing(this.#settings, path);
    try {
      yield* blob.stream() as unknown as AsyncIterable<Uint8Array>;
    } catch (error) {
      signal.throwIfAborted();
      // Of what goes wrong after the first answer, the library gives the message alone.
      throw typeof error === 'string' ? broken(path, error) : error;
    }
  }
}

/** What is asked for, by the address that the command line has for it. */
function addressOf({ repo, revision }: Place, file?: string): string {
  return `hf://${repo}@${revision}${file === undefined ? '' : `/${file}`}`;
}

export function missing(place: Place, file: string): SafetensorsError {
  const path = addressOf(place, file);
  return new SafetensorsError('SHARD_MISSING', 'the repository has no such file', { path });
}

/** Of a file or a revision, where the environment says that there is no network. */
export function notCached(place: Place, file?: string): SafetensorsError {
  const message = 'the cache does not have it, and HF_HUB_OFFLINE is set';
  return new SafetensorsError('SHARD_MISSING', message, { path: addressOf(place, file) });
}

/** Without what is behind a `?`, or before an `@`: it may open the file. */
function broken(file: string, message: string): SafetensorsError {
  const shown = message.replace(/\?[^\s"'<>]*/g, '').replace(/\/\/[^\s/]*@/g, '//');
  return new SafetensorsError('REMOTE_RESPONSE', `the download broke off: ${shown}`, {
    path: file,
  });
}
