import { quoteName } from '../escape.ts';
import { HeaderFault } from './fault.ts';
import { CLOSE_BRACE, COLON, type JsonScanner, OPEN_BRACE } from './json.ts';
import { NameIndex } from './name-index.ts';

/** Keys and values of `__metadata__` as places in the header, unescaped. */
export interface MetadataRanges {
  readonly count: number;
  /** Start and end of the key, start and end of the value: four numbers a pair. */
  readonly ranges: Int32Array;
}

export const NO_METADATA: MetadataRanges = { count: 0, ranges: new Int32Array(0) };

const NULL = Buffer.from('null');

/** Reads the value of `__metadata__`: null, or an object whose values are all strings. */
export function readMetadata(scanner: JsonScanner): MetadataRanges {
  const { bytes } = scanner;
  if (scanner.next() !== OPEN_BRACE) {
    if (!NULL.equals(bytes.subarray(scanner.pos, scanner.pos + NULL.length))) {
      scanner.fail('null or an object of strings as "__metadata__"');
    }
    scanner.pos += NULL.length;
    return NO_METADATA;
  }
  scanner.pos++;
  if (scanner.next() === CLOSE_BRACE) {
    scanner.pos++;
    return NO_METADATA;
  }
  let ranges = new Int32Array(64);
  let count = 0;
  do {
    const at = 4 * count++;
    if (at === ranges.length) {
      const grown = new Int32Array(2 * at);
      grown.set(ranges);
      ranges = grown;
    }
    scanner.string('a key of "__metadata__"');
    ranges[at] = scanner.stringStart;
    ranges[at + 1] = scanner.stringEnd;
    scanner.expect(COLON, 'after a key');
    scanner.string('a string as a value of "__metadata__"');
    ranges[at + 2] = scanner.stringStart;
    ranges[at + 3] = scanner.stringEnd;
  } while (scanner.more(CLOSE_BRACE));
  return { count, ranges };
}

/** Throws DUPLICATE_KEY for the first key that has been there before. */
export function checkMetadataKeys(bytes: Buffer, { count, ranges }: MetadataRanges): void {
  if (count < 2) return;
  const starts = new Int32Array(count);
  const ends = new Int32Array(count);
  for (let pair = 0; pair < count; pair++) {
    starts[pair] = ranges[4 * pair];
    ends[pair] = ranges[4 * pair + 1];
  }
  const index = new NameIndex(bytes, starts, ends, count);
  const pair = index.insertDistinct();
  if (pair === count) return;
  const key = bytes.toString('utf8', starts[pair], ends[pair]);
  const message = `a second key ${quoteName(key)} in "__metadata__"`;
  throw new HeaderFault('DUPLICATE_KEY', message, starts[pair]);
}

/** A frozen object without a prototype, so that any key is just a key. */
export function decodeMetadata(
  bytes: Buffer,
  { count, ranges }: MetadataRanges,
): Readonly<Record<string, string>> {
  const metadata: Record<string, string> = Object.create(null);
  for (let at = 0; at < 4 * count; at += 4) {
    const key = bytes.toString('utf8', ranges[at], ranges[at + 1]);
    metadata[key] = bytes.toString('utf8', ranges[at + 2], ranges[at + 3]);
  }
  return Object.freeze(metadata);
}

/** Metadata apart from the header that it comes from. */
export interface KeptMetadata {
  readonly bytes: Buffer;
  readonly ranges: MetadataRanges;
}

/** A copy of the keys and values, so that the header need not be kept. */
export function keptMetadata(bytes: Buffer, { count, ranges }: MetadataRanges): KeptMetadata {
  if (count === 0) return { bytes: Buffer.alloc(0), ranges: NO_METADATA };
  const start = ranges[0];
  const copy = Buffer.from(bytes.subarray(start, ranges[4 * count - 1]));
  const moved = ranges.slice(0, 4 * count).map((at) => at - start);
  return { bytes: copy, ranges: { count, ranges: moved } };
}
