import { inspect } from 'node:util';
import { atOnce, STEP_TENSORS, type Steps } from '../write/steps.ts';

/** As `huggingface_hub` has it. */
export const DEFAULT_SHARD_SIZE = '5GB';

/** Decimal, as in `huggingface_hub`. */
const UNIT_BYTES: ReadonlyMap<string, number> = new Map([
  ['KB', 1e3],
  ['MB', 1e6],
  ['GB', 1e9],
  ['TB', 1e12],
]);

const SIZE = /^\s*(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*([KMGT]B)\s*$/i;

/** The names that this convention gives to a model's files. */
export const SINGLE_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';
export const SHARD_NAME = /^model-\d{5}-of-\d{5}\.safetensors$/;

/** As many as five digits can count. */
const MOST_SHARDS = 99_999;

const SPACES = '  ';

/** UTF-16 units escaped at once: V8 aborts the process when one replacement has too many matches. */
const PIECE_UNITS = 2 ** 16;

/**
 * The bytes that a size stands for: a number of them, or text like "5GB" and "1.5 MB", in units of
 * powers of 1000. A fraction of a byte is cut off.
 *
 * @throws {TypeError} for anything but a number or text
 * @throws {RangeError} for other text, under one byte, or over 2^53 − 1
 */
export function shardSizeBytes(size: string | number): number {
  const bytes = typeof size === 'string' ? parseSize(size) : size;
  const isMalformed = typeof size === 'string' && Number.isNaN(bytes);
  if (typeof bytes !== 'number' || isMalformed) {
    const Misuse = isMalformed ? RangeError : TypeError;
    throw new Misuse(
      `maxShardSize: expected bytes, or text like "5GB" in KB, MB, GB or TB, found ${inspect(size, { depth: 0 })}`,
    );
  }
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new RangeError(
      `maxShardSize: expected an integer from 1 to 2^53 − 1 bytes, found ${inspect(size)}`,
    );
  }
  return bytes;
}

function parseSize(text: string): number {
  const [, mantissa, exponent = '', unit = ''] = SIZE.exec(text) ?? [];
  const bytes = UNIT_BYTES.get(unit.toUpperCase());
  return bytes === undefined ? Number.NaN : Math.trunc(Number(mantissa + exponent) * bytes);
}

/**
 * Splits tensors into shards as `huggingface_hub` does: one after the other in the order given, a new
 * shard where the next tensor would exceed the limit. One that is larger than the limit has a shard of
 * its own, and those around it go on with theirs. There is always one shard, even of nothing.
 */
export function splitIntoShards<T extends { readonly byteLength: number }>(
  tensors: Iterable<T>,
  maxBytes: number,
): T[][] {
  const shards: T[][] = [];
  let shard: T[] = [];
  let bytes = 0;
  for (const tensor of tensors) {
    if (tensor.byteLength > maxBytes) {
      shards.push([tensor]);
      continue;
    }
    if (bytes + tensor.byteLength > maxBytes) {
      shards.push(shard);
      shard = [];
      bytes = 0;
    }
    shard.push(tensor);
    bytes += tensor.byteLength;
  }
  if (shard.length > 0 || shards.length === 0) shards.push(shard);
  return shards;
}

/**
 * `model-00001-of-00003.safetensors` and so on; `model.safetensors` when there is one only.
 * @throws {RangeError} for more than 99,999
 */
export function shardFileNames(count: number): string[] {
  if (count === 1) return [SINGLE_FILE];
  if (count > MOST_SHARDS) {
    throw new RangeError(`maxShardSize: expected at most ${MOST_SHARDS} shards, found ${count}`);
  }
  const digits = (number: number) => String(number).padStart(5, '0');
  return Array.from(
    { length: count },
    (_, i) => `model-${digits(i + 1)}-of-${digits(count)}.safetensors`,
  );
}

/** What an index says. */
export interface IndexContents {
  /** Bytes of all tensors together. */
  readonly totalSize: number;
  /** More entries for its `metadata`; one called `total_size` gives way to the real one. */
  readonly metadata?: Iterable<readonly [key: string, value: string]> | undefined;
  /** Each tensor and the name of its file. */
  readonly weightMap: Iterable<readonly [name: string, file: string]>;
}

/** The text of an index, byte for byte as Python's `json.dump(index, file, indent=2)` writes it. */
export function indexText(contents: IndexContents): string {
  return atOnce(indexSteps(contents));
}

/** As {@link indexText}, but in steps: it may have very many entries. */
export function* indexSteps({ totalSize, metadata = [], weightMap }: IndexContents): Steps<string> {
  const entries = [`"total_size": ${totalSize}`];
  for (const [key, value] of metadata) {
    if (key !== 'total_size') entries.push(`${quoted(key)}: ${quoted(value)}`);
  }
  const names: string[] = [];
  for (const [name, file] of weightMap) {
    names.push(`${quoted(name)}: ${quoted(file)}`);
    if (names.length % STEP_TENSORS === 0) yield;
  }
  const fields = [`"metadata": ${object(entries, 1)}`, `"weight_map": ${object(names, 1)}`];
  return object(fields, 0);
}

function object(items: readonly string[], depth: number): string {
  if (items.length === 0) return '{}';
  const indent = `\n${SPACES.repeat(depth)}`;
  return `{${indent}${SPACES}${items.join(`,${indent}${SPACES}`)}${indent}}`;
}

/** As Python's `json` does with `ensure_ascii`: nothing but printable ASCII. */
function quoted(text: string): string {
  const json = JSON.stringify(text);
  if (json.length <= PIECE_UNITS) return escapeNonAscii(json);
  const pieces: string[] = [];
  for (let at = 0; at < json.length; at += PIECE_UNITS) {
    pieces.push(escapeNonAscii(json.slice(at, at + PIECE_UNITS)));
  }
  return pieces.join('');
}

function escapeNonAscii(json: string): string {
  return json.replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
