import { HEADER_PADDING } from '../header/bytes.ts';
import { CLOSE_BRACE, COLON, JsonScanner, OPEN_BRACE } from '../header/json.ts';
import { type MetadataRanges, NO_METADATA, readMetadata } from '../header/metadata.ts';

const METADATA = Buffer.from('__metadata__');
const SPACE = 0x20;

/** Arrays and objects open around an entry: the header. */
const ENTRY_DEPTH = 1;

/** `__metadata__` in the text of a header, and what else it takes to put another in its place. */
export interface MetadataItem {
  /** In the order of the header. */
  readonly pairs: ReadonlyMap<string, string>;
  /** Where the item begins, or is to begin. */
  readonly start: number;
  /** Where it ends: at `start` when there is none. */
  readonly end: number;
  /** Where the white space behind it ends. */
  readonly roomEnd: number;
  /** What must come before what follows: a comma, if there was no item and there are entries. */
  readonly separator: '' | ',';
  /** Where the header ends, without the white space behind it. */
  readonly textEnd: number;
}

/**
 * Finds `__metadata__` in a header that has been checked. `scratch` is a copy of the header with its
 * padding, in which strings get unescaped; places are the same in both.
 */
export function findMetadata(scratch: Buffer): MetadataItem {
  const scanner = new JsonScanner(scratch);
  scanner.expect(OPEN_BRACE, 'that opens the header');
  const opened = scanner.pos;
  const isEmpty = scanner.next() === CLOSE_BRACE;
  const firstItem = scanner.pos;
  let found: Pick<MetadataItem, 'pairs' | 'start' | 'end' | 'roomEnd' | 'separator'> | undefined;
  if (isEmpty) {
    scanner.pos++;
  } else {
    do {
      scanner.next();
      const start = scanner.pos;
      scanner.string('the name of a tensor');
      const isMetadata = scanner.isText(METADATA);
      scanner.expect(COLON, 'after a name');
      if (isMetadata) {
        const pairs = pairsOf(scratch, readMetadata(scanner));
        const end = scanner.pos;
        scanner.next();
        found = { pairs, start, end, roomEnd: scanner.pos, separator: '' };
      } else {
        scanner.skipValue(ENTRY_DEPTH);
      }
    } while (scanner.more(CLOSE_BRACE));
  }
  found ??= {
    pairs: new Map(),
    start: opened,
    end: opened,
    roomEnd: firstItem,
    separator: isEmpty ? '' : ',',
  };
  return { ...found, textEnd: scanner.pos };
}

function pairsOf(bytes: Buffer, { count, ranges }: MetadataRanges = NO_METADATA) {
  const pairs = new Map<string, string>();
  for (let at = 0; at < 4 * count; at += 4) {
    const key = bytes.toString('utf8', ranges[at], ranges[at + 1]);
    pairs.set(key, bytes.toString('utf8', ranges[at + 2], ranges[at + 3]));
  }
  return pairs;
}

/** Bytes to write over a header. */
export interface HeaderChange {
  /** In the header. */
  readonly at: number;
  readonly bytes: Buffer;
}

/**
 * What makes the item of a header into `text`, the header staying as long as it is; undefined when
 * that does not fit. If it fits into the room behind the item, nothing else changes; if not, what
 * follows moves back into the padding, and all the room is behind the item afterwards.
 */
export function changeInPlace(
  header: Buffer,
  item: MetadataItem,
  text: string,
): HeaderChange | undefined {
  const { start, end, roomEnd, separator } = item;
  const bytes = Buffer.from(text);
  const room = roomEnd - start - separator.length;
  if (bytes.length <= room) {
    // Behind the old end there is white space already.
    const changed = separator ? roomEnd - start : Math.max(bytes.length, end - start);
    const change = Buffer.alloc(changed, SPACE);
    change.set(bytes);
    change.write(separator, changed - separator.length);
    return { at: start, bytes: change };
  }
  if (lengthWith(item, text) > header.length) return undefined;
  return { at: start, bytes: respaced(header, item, text, header.length).subarray(start) };
}

/** Bytes of a header whose item is `text`, without any room. */
export function lengthWith({ start, separator, roomEnd, textEnd }: MetadataItem, text: string) {
  return start + Buffer.byteLength(text) + separator.length + (textEnd - roomEnd);
}

/** The header with `text` as its item, and all its room right behind that: `length` bytes in all. */
export function respaced(
  header: Buffer,
  { start, roomEnd, textEnd, separator }: MetadataItem,
  text: string,
  length: number,
): Buffer {
  const result = Buffer.alloc(length, SPACE);
  header.copy(result, 0, 0, start);
  result.write(text, start);
  const rest = length - (textEnd - roomEnd);
  result.write(separator, rest - separator.length);
  header.copy(result, rest, roomEnd, textEnd);
  return result;
}

/** A header with the padding that {@link findMetadata} needs, from its bytes. */
export function scratchOf(header: Buffer): Buffer {
  return Buffer.concat([header, Buffer.alloc(HEADER_PADDING)]);
}
