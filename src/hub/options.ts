import { inspect } from 'node:util';
import { checkCallback, checkedUrl, checkObject, checkSignal } from '../arguments.ts';
import { type openModel, SafetensorsError } from '../index.ts';
import { openOptions } from '../open-options.ts';

/** The options of `openModel`, for the model that is opened. */
type ModelOptions = NonNullable<Parameters<typeof openModel>[1]>;

export interface HubProgress {
  /** Bytes of those files that are there by now: downloaded, or had for another revision already. */
  readonly bytes: number;
  /** Bytes of all files that the cache did not have of the commit. */
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
  /** Which of `files` is opened. */
  readonly main: string | undefined;
  readonly hubUrl: string;
  readonly cacheDir: string | undefined;
  readonly accessToken: string | undefined;
  readonly onProgress: ((progress: HubProgress) => void) | undefined;
  readonly signal: AbortSignal | undefined;
  readonly model: ModelOptions;
  readonly maxHeaderBytes: number;
  /** Whether the hub is not to be asked: `HF_HUB_OFFLINE`. */
  readonly offline: boolean;
}

/** A name, or an owner and a name; two hyphens stand for the slash in the names of the cache's folders. */
const REPOSITORY = /^(?!.*(--|\.\.))\w([\w.-]*\w)?(\/\w([\w.-]*\w)?)?$/;

/** As huggingface_hub reads its variables. */
const IS_TRUE = /^(1|on|yes|true)$/i;

/** @throws {TypeError} @throws {RangeError} */
export function checkedSettings(repo: string, options: HubOptions = {}): Settings {
  if (typeof repo !== 'string' || !REPOSITORY.test(repo) || !isInside(repo)) {
    throw new TypeError(`repo: expected 'owner/name', found ${inspect(repo)}`);
  }
  checkObject(options, 'options');
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
  const { href } = checkedUrl(hubUrl, 'hubUrl');
  if (cacheDir !== undefined && !isPath(cacheDir)) {
    throw new TypeError(`cacheDir: expected a path, found ${inspect(cacheDir, { depth: 0 })}`);
  }
  const accessToken = checkedToken(token);
  const main = files === undefined ? undefined : fileToOpen(files);
  checkCallback(onProgress, 'onProgress');
  checkSignal(signal);
  const { maxHeaderBytes } = openOptions(model);
  return {
    repo,
    revision,
    files,
    main,
    hubUrl: href,
    cacheDir,
    accessToken,
    onProgress,
    signal,
    model,
    maxHeaderBytes,
    offline: IS_TRUE.test(env.HF_HUB_OFFLINE ?? ''),
  };
}

/** @throws {TypeError} unless one of them can be opened */
function fileToOpen(files: readonly string[]): string {
  if (!(Array.isArray(files) && files.length > 0 && files.every(isInside))) {
    throw new TypeError(`files: expected paths in the repository, found ${inspect(files)}`);
  }
  const indexes = files.filter(isIndex);
  const weights = files.filter((file) => file.endsWith('.safetensors'));
  if (indexes.length === 1) return indexes[0];
  if (indexes.length === 0 && weights.length === 1) return weights[0];
  const found = inspect(files, { breakLength: Infinity });
  throw new TypeError(`files: expected one index, or one .safetensors file, found ${found}`);
}

export function isIndex(file: string): boolean {
  return file.endsWith('.index.json');
}

/** @throws {SafetensorsError} HEADER_TOO_LARGE */
export function checkIndexLength(path: string, byteLength: number, most: number): void {
  if (byteLength <= most) return;
  const message = `the index has ${byteLength} bytes, over maxHeaderBytes, ${most}`;
  throw new SafetensorsError('HEADER_TOO_LARGE', message, { path });
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

function isPath(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && !value.includes('\0');
}
