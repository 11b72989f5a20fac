import { quoteName } from '../../escape.ts';
import type { OtherLeaf } from '../tree.ts';
import type { GgufCursor } from './cursor.ts';

/** Bounds that the specification has, and others that no file comes near to. */
const MOST_KEY_BYTES = 65_535;
const MOST_KEYS = 65_536;
const MOST_DEPTH = 8;
const MOST_STRING_BYTES = 2 ** 20;
const MOST_TEXT_BYTES = 16 * 2 ** 20;

const ALIGNMENT = 'general.alignment';
const DEFAULT_ALIGNMENT = 32;

/** Put before keys in the metadata of safetensors. */
const PREFIX = 'gguf.';

const UINT32 = 4;
const STRING = 8;
const ARRAY = 9;

/** Types of values by number: what they are called, their bytes, and how one is read as text. */
const SCALARS: readonly ({
  readonly name: string;
  readonly bytes: number;
  readonly read: (cursor: GgufCursor) => Promise<number | bigint>;
} | null)[] = [
  { name: 'uint8', bytes: 1, read: (cursor) => cursor.uint8() },
  { name: 'int8', bytes: 1, read: (cursor) => cursor.int8() },
  { name: 'uint16', bytes: 2, read: (cursor) => cursor.uint16() },
  { name: 'int16', bytes: 2, read: (cursor) => cursor.int16() },
  { name: 'uint32', bytes: 4, read: (cursor) => cursor.uint32() },
  { name: 'int32', bytes: 4, read: (cursor) => cursor.int32() },
  { name: 'float32', bytes: 4, read: (cursor) => cursor.float32() },
  { name: 'bool', bytes: 1, read: (cursor) => cursor.uint8() },
  null,
  null,
  { name: 'uint64', bytes: 8, read: (cursor) => cursor.uint64() },
  { name: 'int64', bytes: 8, read: (cursor) => cursor.int64() },
  { name: 'float64', bytes: 8, read: (cursor) => cursor.float64() },
];
const BOOL = SCALARS.findIndex((type) => type?.name === 'bool');

/** What a GGUF file says besides its tensors. */
export interface GgufMetadata {
  /** Strings, numbers and booleans as text, by key with {@link PREFIX}. */
  readonly texts: ReadonlyMap<string, string>;
  /** Arrays, which are vocabularies for the most part, and texts that are too long: in a word. */
  readonly others: readonly OtherLeaf[];
  /** Of the data, in bytes. */
  readonly alignment: number;
}

/** @throws {SafetensorsError} MALFORMED_CHECKPOINT, CHECKPOINT_LIMIT */
export async function readMetadata(cursor: GgufCursor, count: number): Promise<GgufMetadata> {
  if (count > MOST_KEYS) throw cursor.limit(`${count} keys`);
  const texts = new Map<string, string>();
  const others: OtherLeaf[] = [];
  const keys = new Set<string>();
  let alignment = DEFAULT_ALIGNMENT;
  let textBytes = 0;
  for (let i = 0; i < count; i++) {
    const at = cursor.at;
    const key = await cursor.string('a key', MOST_KEY_BYTES);
    if (keys.has(key)) throw cursor.wrong(`the key ${quoteName(key)} for the second time`, at);
    keys.add(key);
    const type = await cursor.uint32();
    const value = await readValue(cursor, type);
    if (key === ALIGNMENT) alignment = checkAlignment(cursor, type, value.text, at);
    textBytes += key.length + (value.text?.length ?? 0);
    if (textBytes > MOST_TEXT_BYTES) throw cursor.limit(`${textBytes} characters of metadata`);
    if (value.text === undefined) others.push({ path: key, value: value.what });
    else texts.set(PREFIX + key, value.text);
  }
  return { texts, others, alignment };
}

/** A value as text, or in a word what it is. */
type Value = { readonly text: string } | { readonly text?: undefined; readonly what: string };

async function readValue(cursor: GgufCursor, type: number): Promise<Value> {
  const at = cursor.at;
  if (type === ARRAY) return { what: await skipArray(cursor, 1) };
  if (type === STRING) {
    const length = await cursor.count('a string of a length');
    if (length > MOST_STRING_BYTES) {
      cursor.skip(length);
      return { what: `a string of ${length} bytes` };
    }
    return { text: await cursor.text(length, 'a string') };
  }
  const value = await scalarOf(cursor, type, at).read(cursor);
  if (type !== BOOL) return { text: `${value}` };
  if (value !== 0 && value !== 1) throw cursor.wrong(`a boolean that is ${value}`, at);
  return { text: value === 1 ? 'true' : 'false' };
}

/** What the array is. Its elements are not kept; only the lengths of strings and of arrays in it are looked at. */
async function skipArray(cursor: GgufCursor, depth: number): Promise<string> {
  if (depth > MOST_DEPTH) throw cursor.limit(`${depth} arrays in one another`);
  const at = cursor.at;
  const type = await cursor.uint32();
  const count = await cursor.count('an array of a length');
  if (type === ARRAY) {
    for (let i = 0; i < count; i++) await skipArray(cursor, depth + 1);
    return `array of ${count} arrays`;
  }
  if (type === STRING) {
    for (let i = 0; i < count; i++) cursor.skip(await cursor.count('a string of a length'));
    return `array of ${count} strings`;
  }
  const { name, bytes } = scalarOf(cursor, type, at);
  cursor.skip(count * bytes);
  return `array of ${count} × ${name}`;
}

function scalarOf(cursor: GgufCursor, type: number, at: number) {
  const scalar = SCALARS[type];
  if (scalar) return scalar;
  throw cursor.wrong(`a value of type ${type}, which there is not`, at);
}

/** The specification wants a multiple of 8; readers, a power of two. */
function checkAlignment(
  cursor: GgufCursor,
  type: number,
  text: string | undefined,
  at: number,
): number {
  const alignment = type === UINT32 ? Number(text) : 0;
  if (alignment >= 8 && Number.isInteger(Math.log2(alignment))) return alignment;
  throw cursor.wrong(`${ALIGNMENT} is no uint32 that is a power of two from 8`, at);
}
