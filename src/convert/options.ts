import { inspect } from 'node:util';
import { checkBoolean, checkCallback, checkObject, checkSignal } from '../arguments.ts';
import type { Metadata, WriteProgress } from '../index.ts';
import { TARGET_DTYPES, type TargetDtype } from './target.ts';

export interface ConvertOptions {
  /**
   * Where in the checkpoint the tensors are: keys and indices, joined by dots (`'optimizer.state'`); `''`
   * for all that there is. Default: the state dict, which is what is under `state_dict`, `model_state_dict`, `model` or
   * `module` if that has tensors and there are no more than a few beside it, else all.
   */
  key?: string | undefined;
  /** Taken off names that begin with it, as `'module.'`. Default: none. */
  stripPrefix?: string | undefined;
  /**
   * Leaves out what the pickle would have Python make of classes that are not known to be harmless,
   * and arrays of numpy and tensors of GGUF files that safetensors has no dtype for, instead of refusing the
   * checkpoint. What is known to be harmful is refused all the same, and so are tensors of PyTorch of other kinds.
   * Default: false.
   */
  skipUnknown?: boolean | undefined;
  /** What floating-point tensors of 16 bits and more are rounded to. Default: as they are. */
  dtype?: TargetDtype | undefined;
  /**
   * More `__metadata__`, besides `format` (`'pt'`, `'np'` or `'gguf'`), the links of shared tensors, and what a
   * GGUF file says itself.
   */
  metadata?: Metadata | undefined;
  /** Whether each file is compared with its checkpoint, byte for byte, before it takes its place. Default: true. */
  verify?: boolean | undefined;
  /** Says what would be done, and writes nothing. Default: false. */
  dryRun?: boolean | undefined;
  /** As {@link SaveOptions.fsync}. */
  fsync?: boolean | undefined;
  /** Ends the conversion, with its reason; files that are finished stay. */
  signal?: AbortSignal | undefined;
  /** Bytes that were written, and those that were compared. */
  onProgress?: ((progress: WriteProgress) => void) | undefined;
}

export interface CheckedOptions {
  readonly key: string | undefined;
  readonly stripPrefix: string | undefined;
  readonly skipUnknown: boolean;
  readonly target: TargetDtype | undefined;
  readonly metadata: ReadonlyMap<string, string>;
  readonly verify: boolean;
  readonly dryRun: boolean;
  readonly fsync: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: WriteProgress) => void) | undefined;
}

/** @throws {TypeError}, {RangeError} */
export function checkOptions(options: ConvertOptions = {}): CheckedOptions {
  checkObject(options, 'options');
  const { key, stripPrefix, dtype, metadata = {}, signal, onProgress } = options;
  const { skipUnknown = false, verify = true, dryRun = false, fsync = true } = options;
  checkText(key, 'key');
  checkText(stripPrefix, 'stripPrefix');
  checkBoolean(skipUnknown, 'skipUnknown');
  checkBoolean(verify, 'verify');
  checkBoolean(dryRun, 'dryRun');
  checkBoolean(fsync, 'fsync');
  checkSignal(signal);
  checkCallback(onProgress, 'onProgress');
  checkObject(metadata, 'metadata');
  if (dtype !== undefined && !TARGET_DTYPES.includes(dtype)) {
    throw new RangeError(
      `dtype: expected one of ${TARGET_DTYPES.join(', ')}, found ${inspect(dtype, { depth: 0 })}`,
    );
  }
  // Its values are checked where it is written.
  const pairs: Iterable<[string, string]> = isMap(metadata) ? metadata : Object.entries(metadata);
  return {
    key,
    stripPrefix,
    skipUnknown,
    target: dtype,
    metadata: new Map(pairs),
    verify,
    dryRun,
    fsync,
    signal,
    onProgress,
  };
}

function checkText(value: unknown, what: string): void {
  if (value === undefined || typeof value === 'string') return;
  throw new TypeError(`${what}: expected a string, found ${inspect(value, { depth: 0 })}`);
}

function isMap(metadata: Metadata): metadata is ReadonlyMap<string, string> {
  return metadata instanceof Map;
}
