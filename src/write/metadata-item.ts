import { HEADER_PADDING, LENGTH_BYTES } from '../header/bytes.ts';
import { CLOSE_BRACE, COLON, COMMA, JsonScanner, OPEN_BRACE } from '../header/json.ts';
import { type MetadataRanges, NO_METADATA, readMetadata } from '../header/metadata.ts';

const METADATA = Buffer.from('__metadata__');
const SPACE = 0x20;

/** Arrays and objects open around an entry: the header. */
const ENTRY_DEPTH = 1;

/**
 * What a file system shares and, as a page of memory, changes whole or not at all, whenever a process is
 * killed: larger ones are multiples of it.
 */
export const BLOCK_BYTES = 4096;

/** `__metadata__` in the text of a header, and what else it takes to put another in its place. */
export interface MetadataItem {
  /** In the order of the header. */
  readonly pairs: ReadonlyMap<string, string>;
  /** Where the item begins, or is to begin. */
  readonly start: number;
  /** Where it ends: at `start` when there is none. */
  readonly end: number;
  /** Where the comma behind it is; `undefined` when there is none. */
  readonly comma: number | undefined;
  /** Where the white space behind both ends. */
  readonly roomEnd: number;
  /** What must come before what follows: a comma, if there are entries behind it. */
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
  let found: Omit<MetadataItem, 'textEnd'> | undefined;
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
        found = { pairs, start, end: scanner.pos, ...roomBehind(scanner) };
      } else {
        scanner.skipValue(ENTRY_DEPTH);
      }
    } while (scanner.more(CLOSE_BRACE));
  }
  found ??= {
    pairs: new Map(),
    start: opened,
    end: opened,
    comma: undefined,
    roomEnd: firstItem,
    separator: isEmpty ? '' : ',',
  };
  return { ...found, textEnd: scanner.pos };
}

/** White space and a comma from where the scanner is, which stays before the comma. */
function roomBehind(scanner: JsonScanner): Pick<MetadataItem, 'comma' | 'roomEnd' | 'separator'> {
  const isLast = scanner.next() !== COMMA;
  const { pos } = scanner;
  if (isLast) return { comma: undefined, roomEnd: pos, separator: '' };
  scanner.pos++;
  scanner.next();
  const roomEnd = scanner.pos;
  scanner.pos = pos;
  return { comma: pos, roomEnd, separator: ',' };
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
 * that does not fit. If it fits into the room behind the item, nothing else changes but, where it is in the
 * way, the comma; if not, what follows moves back into the padding, and all the room is behind the item
 * afterwards.
 */
export function changeInPlace(
  header: Buffer,
  item: MetadataItem,
  text: string,
): HeaderChange | undefined {
  const { start, end, comma, roomEnd, separator } = item;
  const bytes = Buffer.from(text);
  const keepsComma = comma !== undefined && start + bytes.length <= comma;
  const written = keepsComma ? bytes.length : bytes.length + separator.length;
  if (written <= roomEnd - start) {
    // Behind the old end there is white space already, and perhaps the comma.
    const oldEnd = keepsComma || comma === undefined ? end : comma + 1;
    const change = Buffer.alloc(Math.max(written, oldEnd - start), SPACE);
    change.set(bytes);
    if (!keepsComma) change.write(separator, bytes.length);
    return { at: start, bytes: change };
  }
  if (lengthWith(item, text) > header.length) return undefined;
  return { at: start, bytes: respaced(header, item, text, header.length).subarray(start) };
}

/**
 * The one block of the file that a change is in, as far as the change reaches; undefined when more than one
 * would change. A process that is killed leaves such a change undone or done: the kernel stops a write
 * between pages only.
 */
export function changeOfOneBlock(
  header: Buffer,
  { at, bytes }: HeaderChange,
): HeaderChange | undefined {
  let found: HeaderChange | undefined;
  for (let from = 0; from < bytes.length; ) {
    const intoBlock = (LENGTH_BYTES + at + from) % BLOCK_BYTES;
    const to = Math.min(bytes.length, from + BLOCK_BYTES - intoBlock);
    const part = bytes.subarray(from, to);
    if (!part.equals(header.subarray(at + from, at + to))) {
      if (found) return undefined;
      found = { at: at + from, bytes: part };
    }
    from = to;
  }
  return found;
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
