import { isUtf8 } from 'node:buffer';
import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { LENGTH_BYTES } from './bytes.ts';
import { CanonicalEntries } from './canonical.ts';
import { checkLayout } from './checks.ts';
import { Columns } from './columns.ts';
import { readEntry } from './entry.ts';
import { EntryFault, HeaderFault } from './fault.ts';
import { CLOSE_BRACE, COLON, JsonScanner, OPEN_BRACE } from './json.ts';
import { checkMetadataKeys, type MetadataRanges, NO_METADATA, readMetadata } from './metadata.ts';
import { NameIndex } from './name-index.ts';
import { HeaderTable } from './table.ts';
import { firstInvalidUtf8 } from './utf8.ts';

/** What becomes of a name that appears twice: see {@link OpenOptions.duplicates}. */
export type DuplicatePolicy = 'reject' | 'last-wins';

export interface HeaderPlace {
  /** Bytes that follow the header in the file. */
  dataLength: number;
  /** Whether the header is known to be ASCII: then it is UTF-8. */
  isAscii?: boolean;
  /** The file, for messages. */
  path?: string | undefined;
}

export interface ParseOptions extends HeaderPlace {
  duplicates: DuplicatePolicy;
}

/** A header that has passed every check, and what was made of its names. */
export interface CheckedHeader<Names> {
  readonly bytes: Buffer;
  readonly columns: Columns;
  readonly names: Names;
  /** Entries in the order of their data; `undefined` when that is the header's order. */
  readonly offsetOrder: Uint32Array | undefined;
  readonly metadata: MetadataRanges;
}

const METADATA = Buffer.from('__metadata__');

const ABSENT = -1;

/**
 * Parses and checks a header.
 *
 * `bytes` come from {@link allocateHeader}, and nobody else may change them any more: strings are
 * unescaped in them, and the table that is returned keeps them.
 *
 * @throws {SafetensorsError} for every header that the format refuses
 */
export function parseHeader(bytes: Buffer, options: ParseOptions): HeaderTable {
  const { duplicates } = options;
  const header = new ScannedHeader(
    bytes,
    new Columns(bytes.length),
    options,
    duplicates === 'reject',
  );
  const { names, ...checked } = header.check((columns) => indexNames(bytes, columns, duplicates));
  return new HeaderTable({ ...checked, index: names });
}

/** A header whose grammar is right: `columns` have its entries. */
export class ScannedHeader {
  readonly bytes: Buffer;
  readonly columns: Columns;
  readonly #place: HeaderPlace;
  readonly #parser: HeaderParser;
  readonly #metadata: MetadataRanges;

  /** @throws {SafetensorsError} for every header whose text the format refuses */
  constructor(bytes: Buffer, columns: Columns, place: HeaderPlace, rejectDuplicates: boolean) {
    // First of all: the scanner relies on it, and so does whoever decodes a name.
    if (!place.isAscii && !isUtf8(bytes)) throw utf8Error(bytes, place.path);
    this.bytes = bytes;
    this.columns = columns;
    this.#place = place;
    this.#parser = new HeaderParser(bytes, columns);
    this.#metadata = this.#explained(() => {
      const metadata = this.#parser.scan();
      if (rejectDuplicates) checkMetadataKeys(bytes, metadata);
      return metadata;
    });
  }

  /**
   * Has its names checked, then the layout of its data. `checkNames` throws an {@link EntryFault} for a name
   * that may not be there twice, or drops the earlier entry.
   *
   * @throws {SafetensorsError} for every layout that the format refuses
   */
  check<Names>(checkNames: (columns: Columns) => Names): CheckedHeader<Names> {
    const { bytes, columns } = this;
    return this.#explained(() => {
      const names = checkNames(columns);
      const offsetOrder = checkLayout(bytes, columns, this.#place.dataLength);
      return { bytes, columns, names, offsetOrder, metadata: this.#metadata };
    });
  }

  /** Faults become errors that say where. */
  #explained<T>(step: () => T): T {
    try {
      return step();
    } catch (fault) {
      if (!(fault instanceof HeaderFault)) throw fault;
      const tensor = this.#parser.tensorOf(fault);
      const subject = tensor === undefined ? '' : `tensor ${quoteName(tensor)}: `;
      const message = `${subject}${fault.message}, at byte ${LENGTH_BYTES + fault.at}`;
      throw new SafetensorsError(fault.code, message, { path: this.#place.path, tensor });
    }
  }
}

/** Duplicates are an error, or give way to the last of them. */
export function indexNames(
  bytes: Buffer,
  columns: Columns,
  duplicates: DuplicatePolicy,
): NameIndex {
  const { count, nameStarts, nameEnds } = columns;
  const index = new NameIndex(bytes, nameStarts, nameEnds, count);
  let kept = index.insertDistinct();
  for (let entry = kept; entry < count; entry++) {
    // Entries move down over those that gave way before them; without duplicates none does.
    if (kept !== entry) columns.move(entry, kept);
    const earlier = index.insert(kept);
    if (earlier === ABSENT) {
      kept++;
    } else if (duplicates === 'reject') {
      throw duplicateName(columns, kept);
    } else {
      columns.move(kept, earlier);
    }
  }
  // The index has been made for all of them, and the addon may look at what is behind the last.
  nameStarts.fill(-1, kept, count);
  columns.count = kept;
  return index;
}

export function duplicateName({ nameStarts }: Columns, entry: number): EntryFault {
  return new EntryFault('DUPLICATE_KEY', 'a second entry of this name', nameStarts[entry], entry);
}

function utf8Error(bytes: Buffer, path: string | undefined): SafetensorsError {
  const at = firstInvalidUtf8(bytes) ?? 0;
  const found = `0x${bytes[at].toString(16).padStart(2, '0')}`;
  const message = `the header is not UTF-8: found ${found}, at byte ${LENGTH_BYTES + at}`;
  return new SafetensorsError('HEADER_UTF8', message, { path });
}

class HeaderParser {
  readonly #bytes: Buffer;
  readonly #scanner: JsonScanner;
  readonly #columns: Columns;
  #metadata: MetadataRanges | undefined;
  /** Where the name of the entry stands that is being read. */
  #nameStart = ABSENT;
  #nameEnd = ABSENT;

  constructor(bytes: Buffer, columns: Columns) {
    this.#bytes = bytes;
    this.#scanner = new JsonScanner(bytes);
    this.#columns = columns;
  }

  /** The grammar: fills the columns in the order of the header; returns where its metadata is. */
  scan(): MetadataRanges {
    const scanner = this.#scanner;
    const canonical = new CanonicalEntries(this.#bytes, this.#columns);
    scanner.expect(OPEN_BRACE, 'that opens the header');
    if (scanner.next() === CLOSE_BRACE) {
      scanner.pos++;
    } else {
      do {
        const { pos } = scanner;
        scanner.pos = canonical.read(pos);
        const isWhole = scanner.pos > pos && this.#bytes[scanner.pos] === CLOSE_BRACE;
        if (!isWhole) this.#item();
      } while (scanner.more(CLOSE_BRACE));
    }
    scanner.next();
    if (scanner.pos < scanner.end) scanner.fail('nothing but white space after the header');
    return this.#metadata ?? NO_METADATA;
  }

  /** The name of the tensor that a fault is about, if it is about one. */
  tensorOf(fault: HeaderFault): string | undefined {
    let start = this.#nameStart;
    let end = this.#nameEnd;
    if (fault instanceof EntryFault) {
      start = this.#columns.nameStarts[fault.entry];
      end = this.#columns.nameEnds[fault.entry];
    }
    return start === ABSENT ? undefined : this.#bytes.toString('utf8', start, end);
  }

  /** One name and its value, in any JSON. */
  #item(): void {
    const scanner = this.#scanner;
    scanner.string('the name of a tensor');
    const { stringStart, stringEnd } = scanner;
    const isMetadata = scanner.isText(METADATA);
    scanner.expect(COLON, 'after a name');
    if (!isMetadata) {
      this.#nameStart = stringStart;
      this.#nameEnd = stringEnd;
      readEntry(scanner, this.#columns, stringStart, stringEnd);
      this.#nameStart = ABSENT;
    } else if (this.#metadata === undefined) {
      this.#metadata = readMetadata(scanner);
    } else {
      throw new HeaderFault('DUPLICATE_KEY', 'a second "__metadata__"', stringStart);
    }
  }
}
