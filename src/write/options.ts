import { inspect, types } from 'node:util';
import {
  checkBoolean,
  checkCallback,
  checkInteger,
  checkObject,
  checkSignal,
} from '../arguments.ts';
import { DEFAULT_MAX_HEADER_BYTES } from '../header/preamble.ts';
import { checkText } from './inputs.ts';

/** `__metadata__`: a Map keeps an order of keys that look like integers, which an object does not. */
export type Metadata = Readonly<Record<string, string>> | ReadonlyMap<string, string>;

export interface SerializeOptions {
  /**
   * `__metadata__`, in the order given. `undefined` (the default) leaves it out; an empty object is
   * written as one.
   */
  metadata?: Metadata | undefined;
  /**
   * Bytes of room for metadata to grow, as spaces behind it, so that {@link updateMetadata} need not
   * write the file anew for a change within one block (4096 bytes). Default: 0.
   */
  headerPadding?: number | undefined;
  /**
   * The data begins at a multiple of so many bytes, itself a multiple of 8. Default: 8, as the
   * reference has it; 4096 puts it at a page.
   */
  alignment?: number | undefined;
}

/** How far a file has been written. */
export interface WriteProgress {
  /** Bytes that have been written. */
  readonly bytes: number;
  /** Bytes of the whole file, or of all files. */
  readonly totalBytes: number;
}

export interface SaveOptions extends SerializeOptions {
  /**
   * Whether file and folder are to be on the disk when the promise resolves (the default). Without,
   * a power failure may still cost the file; a crash of the process cannot.
   */
  fsync?: boolean | undefined;
  /** Ends the writing: the promise is rejected with the signal's reason, and nothing has changed. */
  signal?: AbortSignal | undefined;
  /** Called from the event loop while the file is written; never after the promise is settled. */
  onProgress?: ((progress: WriteProgress) => void) | undefined;
}

export interface CheckedLayout {
  /** In order; `undefined` for none. */
  readonly metadata: readonly (readonly [key: string, value: string])[] | undefined;
  readonly headerPadding: number;
  readonly alignment: number;
}

export interface CheckedSaving {
  readonly fsync: boolean;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((progress: WriteProgress) => void) | undefined;
}

/** The longest header that readers take. */
export const MAX_HEADER_BYTES = DEFAULT_MAX_HEADER_BYTES;

/** Writers pad the header to a multiple of this. */
export const DEFAULT_ALIGNMENT = 8;

/** @throws {TypeError}, {RangeError} */
export function layoutOptions(options: SerializeOptions = {}): CheckedLayout {
  checkObject(options, 'options');
  const { metadata, headerPadding = 0, alignment = DEFAULT_ALIGNMENT } = options;
  checkInteger(headerPadding, 'headerPadding', 0, MAX_HEADER_BYTES);
  checkInteger(alignment, 'alignment', DEFAULT_ALIGNMENT, MAX_HEADER_BYTES);
  if (alignment % DEFAULT_ALIGNMENT !== 0) {
    throw new RangeError(
      `alignment: expected a multiple of ${DEFAULT_ALIGNMENT}, found ${alignment}`,
    );
  }
  return {
    metadata: metadata === undefined ? undefined : checkMetadata(metadata),
    headerPadding,
    alignment,
  };
}

/** @throws {TypeError} */
export function savingOptions(options: SaveOptions = {}): CheckedSaving {
  checkObject(options, 'options');
  const { fsync = true, signal, onProgress } = options;
  checkBoolean(fsync, 'fsync');
  checkSignal(signal);
  checkCallback(onProgress, 'onProgress');
  return { fsync, signal, onProgress };
}

/** Not instanceof: those of other realms (vm contexts) are as good. */
export function isMap<V>(
  pairs: ReadonlyMap<string, V> | Readonly<Record<string, V>>,
): pairs is ReadonlyMap<string, V> {
  return types.isMap(pairs);
}

/** Keys and values as they are now. */
function checkMetadata(metadata: Metadata): [string, string][] {
  checkObject(metadata, 'metadata');
  const pairs = isMap(metadata) ? [...metadata] : Object.entries(metadata);
  for (const [key, value] of pairs) {
    checkString(key, 'metadata: a key');
    checkString(value, `metadata: the value of ${inspect(key)}`);
  }
  return pairs;
}

export function checkString(
  text: unknown,
  what: string,
  expected = 'a string',
): asserts text is string {
  if (typeof text !== 'string') {
    throw new TypeError(`${what}: expected ${expected}, found ${inspect(text, { depth: 0 })}`);
  }
  checkText(text, what);
}
