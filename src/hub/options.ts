import { inspect } from 'node:util';
import type { openModel } from '../index.ts';
import { openOptions } from '../open-options.ts';

/** The options of `openModel`, for the model that is opened. */
type ModelOptions = NonNullable<Parameters<typeof openModel>[1]>;

export interface HubProgress {
  /** Bytes that have been downloaded. */
  readonly bytes: number;
  /** Bytes of all files that are not in the cache. */
  readonly totalBytes: number;
  /** The file that the last of them are of, as it is called in the repository. */
  readonly file: string;
}

export interface HubOptions extends ModelOptions {
  /** A branch, a tag or a commit. Default: `'main'`. */
  revision?: string | undefined;
  /**
   * Files of the repository to have: an index (its shards come with it) or one .safetensors file, which is
   * opened, and any others, which lie beside it then. Default:
   * `model.safetensors.index.json`, else `model.safetensors`, as `openModel` has it of a folder.
   */
  files?: readonly string[] | undefined;
  /** Default: `HF_ENDPOINT`, else https://huggingface.co. */
  hubUrl?: string | undefined;
  /** Default: that of huggingface_hub (`HF_HUB_CACHE`, `HF_HOME`, or ~/.cache/huggingface/hub). */
  cacheDir?: string | undefined;
  /** Sent to `hubUrl`, and to no other host. Default: `HF_TOKEN`. */
  accessToken?: string | undefined;
  /** Called while files are downloaded; not at all where the cache has them. */
  onProgress?: ((progress: HubProgress) => void) | undefined;
  /** Ends it: the promise is rejected with the signal's reason, and nothing unfinished is left. */
  signal?: AbortSignal | undefined;
}

export interface Settings {
  readonly repo: string;
  readonly revision: string;
  readonly files: readonly string[] | undefined;
  readonly hubUrl: string;
  readonly cacheDir: string | undefined;
  readonly accessToken: string | undefined;
  readonly onProgress: ((progress: HubProgress) => void) | undefined;
  readonly signal: AbortSignal | undefined;
  readonly model: ModelOptions;
  readonly maxHeaderBytes: number;
}

/** A name, or an owner and a name; two hyphens stand for the slash in the names of the cache's folders. */
const REPOSITORY = /^(?!.*(--|\.\.))\w([\w.-]*\w)?(\/\w([\w.-]*\w)?)?$/;

/** @throws {TypeError} @throws {RangeError} */
export function checkedSettings(repo: string, options: HubOptions = {}): Settings {
  if (typeof repo !== 'string' || !REPOSITORY.test(repo) || !isInside(repo)) {
    throw new TypeError(`repo: expected 'owner/name', found ${inspect(repo)}`);
  }
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw new TypeError(`options: expected an object, found ${inspect(options)}`);
  }
  const { env } = process;
  const {
    revision = 'main',
    files,
    hubUrl = env.HF_ENDPOINT || 'https://huggingface.co',
    cacheDir,
    accessToken: token = env.HF_TOKEN || undefined,
    onProgress,
    signal,
    ...model
  } = options;
  if (typeof revision !== 'string' || !isInside(revision)) {
    throw new TypeError(
      `revision: expected a branch, a tag or a commit, found ${inspect(revision)}`,
    );
  }
  if (typeof hubUrl !== 'string' || !/^https?:/.test(hubUrl) || !URL.canParse(hubUrl)) {
    throw new TypeError(`hubUrl: expected an http: or https: URL, found ${inspect(hubUrl)}`);
  }
  const accessToken = checkedToken(token);
  if (files !== undefined && !(Array.isArray(files) && files.length > 0 && files.every(isInside))) {
    throw new TypeError(`files: expected paths in the repository, found ${inspect(files)}`);
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw new TypeError(`onProgress: expected a function, found ${inspect(onProgress)}`);
  }
  const { maxHeaderBytes } = openOptions(model);
  return {
    repo,
    revision,
    files,
    hubUrl,
    cacheDir,
    accessToken,
    onProgress,
    signal,
    model,
    maxHeaderBytes,
  };
}

/** A token as a header has it. No message shows it. */
function checkedToken(token: unknown): string | undefined {
  if (token === undefined) return undefined;
  // From a file there is often a line feed after it.
  const trimmed = typeof token === 'string' ? token.trim() : '';
  if (/^[!-~]+$/.test(trimmed)) return trimmed;
  throw new TypeError('accessToken: expected a string of letters, digits and signs');
}

/** Whether a path of a repository stays below where it is put. */
export function isInside(path: unknown): path is string {
  if (typeof path !== 'string' || /[\\\0]/.test(path)) return false;
  return path.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
}
