import { isUtf8 } from 'node:buffer';
import { DTYPES } from '../dtypes.ts';
import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { elementCount, MAX_SIZE } from '../layout.ts';
import { checkLayout, EntryFault, sizeVerdict } from './checks.ts';
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  HeaderFault,
  JsonScanner,
  OPEN_BRACE,
  OPEN_BRACKET,
} from './json.ts';
import { NameIndex } from './name-index.ts';
import { type Columns, HeaderTable, type MetadataRanges, readShape } from './table.ts';

/** What becomes of a name that appears twice: see {@link OpenOptions.duplicates}. */
export type DuplicatePolicy = 'reject' | 'last-wins';

export interface ParseOptions {
  /** Bytes that follow the header in the file. */
  dataLength: number;
  duplicates: DuplicatePolicy;
  /** The file, for messages. */
  path?: string | undefined;
}

/** Bytes of the length before the header: positions in messages count from the file's start. */
export const LENGTH_BYTES = 8;

/** `"":{"dtype":"U8","shape":[],"data_offsets":[0,0]}`: no entry of a tensor is shorter. */
const SHORTEST_ENTRY_BYTES = 49;

/** Arrays and objects open around a field of an entry: the header and the entry. */
const FIELD_DEPTH = 2;

const METADATA = Buffer.from('__metadata__');
const NULL = Buffer.from('null');
const DTYPE = Buffer.from('dtype');
const SHAPE = Buffer.from('shape');
const DATA_OFFSETS = Buffer.from('data_offsets');

/** What writers put around the values of an entry; a dtype's name stands before the second. */
const ENTRY_OPEN = Buffer.from('{"dtype":"');
const SHAPE_OPEN = Buffer.from('","shape":[');
const OFFSETS_OPEN = Buffer.from(',"data_offsets":[');

const DTYPE_NAMES = DTYPES.map(({ name }) => Buffer.from(name));

const ABSENT = -1;

/**
 * Parses and checks a header.
 *
 * `bytes` are the header followed by one NUL, in memory that nobody else can change: strings are
 * unescaped in it, and the table that is returned keeps it.
 *
 * @throws {SafetensorsError} for every file that FORMAT.md refuses.
 */
export function parseHeader(bytes: Buffer, options: ParseOptions): HeaderTable {
  // First of all: the scanner relies on it, and so does whoever decodes a name.
  if (!isUtf8(bytes)) {
    throw new SafetensorsError('HEADER_UTF8', 'the header is not UTF-8', { path: options.path });
  }
  const parser = new HeaderParser(bytes, options);
  try {
    return parser.parse();
  } catch (fault) {
    if (!(fault instanceof HeaderFault)) throw fault;
    const tensor = parser.tensorOf(fault);
    const subject = tensor === undefined ? '' : `tensor ${quoteName(tensor)}: `;
    throw new SafetensorsError(
      fault.code,
      `${subject}${fault.message}, at byte ${LENGTH_BYTES + fault.at}`,
      { path: options.path, tensor },
    );
  }
}

class HeaderParser {
  readonly #bytes: Buffer;
  readonly #options: ParseOptions;
  readonly #scanner: JsonScanner;
  readonly #columns: Columns;
  readonly #verdicts: Uint8Array;
  #count = 0;
  /** The entry that is being read. */
  #open = ABSENT;
  #metadata: MetadataRanges | undefined;
  /** The integer that {@link #fastInteger} read last. */
  #integer = 0;

  constructor(bytes: Buffer, options: ParseOptions) {
    this.#bytes = bytes;
    this.#options = options;
    this.#scanner = new JsonScanner(bytes);
    // Room for as many entries as the header could hold. Pages that are never written cost nothing,
    // and the columns need not grow.
    const most = Math.ceil(bytes.length / SHORTEST_ENTRY_BYTES);
    this.#columns = {
      dtypes: new Uint8Array(most),
      begins: new Float64Array(most),
      ends: new Float64Array(most),
      nameStarts: new Uint32Array(most),
      nameEnds: new Uint32Array(most),
      shapeStarts: new Uint32Array(most),
    };
    this.#verdicts = new Uint8Array(most);
  }

  parse(): HeaderTable {
    this.#scan();
    const index = this.#indexTensors();
    const { dataLength } = this.#options;
    const layout = {
      bytes: this.#bytes,
      columns: this.#columns,
      verdicts: this.#verdicts,
      count: this.#count,
      dataLength,
    };
    return new HeaderTable({
      bytes: this.#bytes,
      count: this.#count,
      dataLength,
      columns: this.#columns,
      index,
      offsetOrder: checkLayout(layout),
      metadata: this.#metadata ?? { ranges: new Uint32Array(0), count: 0 },
    });
  }

  /** The name of the tensor that a fault is about, if it is about one. */
  tensorOf(fault: HeaderFault): string | undefined {
    const entry = fault instanceof EntryFault ? fault.entry : this.#open;
    if (entry === ABSENT) return undefined;
    const { nameStarts, nameEnds } = this.#columns;
    return this.#bytes.toString('utf8', nameStarts[entry], nameEnds[entry]);
  }

  /** The grammar: fills the columns in the order of the header. */
  #scan(): void {
    const scanner = this.#scanner;
    scanner.expect(OPEN_BRACE, 'that opens the header');
    if (scanner.next() === CLOSE_BRACE) {
      scanner.pos++;
    } else {
      do {
        scanner.string('the name of a tensor');
        const { stringStart, stringEnd } = scanner;
        const isMetadata = scanner.isText(METADATA);
        scanner.expect(COLON, 'after a name');
        if (isMetadata) this.#metadataValue();
        else this.#entry(stringStart, stringEnd);
      } while (scanner.more(CLOSE_BRACE));
    }
    scanner.next();
    if (scanner.pos < this.#bytes.length - 1)
      scanner.fail('nothing but white space after the header');
  }

  #entry(nameStart: number, nameEnd: number): void {
    const entry = this.#count;
    this.#columns.nameStarts[entry] = nameStart;
    this.#columns.nameEnds[entry] = nameEnd;
    this.#open = entry;
    const end = this.#fastEntry(entry, this.#scanner.pos);
    if (end === ABSENT) this.#anyEntry(entry);
    else this.#scanner.pos = end;
    this.#open = ABSENT;
    this.#count++;
  }

  /**
   * An entry exactly as writers write it: three fields in their order, without white space.
   * Returns the position behind it, or ABSENT for anything else, right or wrong: that is for
   * {@link #anyEntry} to tell.
   */
  #fastEntry(entry: number, start: number): number {
    const bytes = this.#bytes;
    let pos = this.#literal(start, ENTRY_OPEN);
    if (pos === ABSENT) return ABSENT;
    const dtypeStart = pos;
    while (bytes[pos] >= 0x30) pos++; // letters, digits, underscore
    const dtype = dtypeCode(bytes, dtypeStart, pos);
    if (dtype === ABSENT) return ABSENT;
    pos = this.#literal(pos, SHAPE_OPEN);
    if (pos === ABSENT) return ABSENT;

    const shapeStart = pos;
    let elements = 1;
    if (bytes[pos] !== CLOSE_BRACKET) {
      for (;;) {
        pos = this.#fastInteger(pos);
        if (pos === ABSENT) return ABSENT;
        elements *= this.#integer;
        if (elements > MAX_SIZE) return ABSENT;
        if (bytes[pos] !== COMMA) break;
        pos++;
      }
      if (bytes[pos] !== CLOSE_BRACKET) return ABSENT;
    }

    pos = this.#literal(pos + 1, OFFSETS_OPEN);
    if (pos === ABSENT) return ABSENT;
    pos = this.#fastInteger(pos);
    if (pos === ABSENT || bytes[pos] !== COMMA) return ABSENT;
    const begin = this.#integer;
    pos = this.#fastInteger(pos + 1);
    if (pos === ABSENT || bytes[pos] !== CLOSE_BRACKET || bytes[pos + 1] !== CLOSE_BRACE)
      return ABSENT;
    this.#record(entry, dtype, shapeStart, elements, begin, this.#integer);
    return pos + 2;
  }

  /** The position behind `literal`, or ABSENT. */
  #literal(pos: number, literal: Uint8Array): number {
    const bytes = this.#bytes;
    for (let i = 0; i < literal.length; i++) {
      if (bytes[pos + i] !== literal[i]) return ABSENT;
    }
    return pos + literal.length;
  }

  /** Reads digits into `#integer`; the position behind them, or ABSENT. */
  #fastInteger(start: number): number {
    const bytes = this.#bytes;
    let pos = start;
    let digit = bytes[pos] - 0x30;
    if (digit < 0 || digit > 9) return ABSENT;
    let value = 0;
    do {
      value = value * 10 + digit;
      digit = bytes[++pos] - 0x30;
    } while (digit >= 0 && digit <= 9);
    if (value > MAX_SIZE || (bytes[start] === 0x30 && pos > start + 1)) return ABSENT;
    this.#integer = value;
    return pos;
  }

  /** An entry in any JSON: fields in any order, unknown fields, white space, escapes. */
  #anyEntry(entry: number): void {
    const scanner = this.#scanner;
    scanner.expect(OPEN_BRACE, 'that opens an entry');
    let dtype = ABSENT;
    let shapeStart = ABSENT;
    let elements: number | undefined;
    let begin = ABSENT;
    let end = ABSENT;
    if (scanner.next() === CLOSE_BRACE) {
      scanner.pos++;
    } else {
      do {
        scanner.string('a field name');
        const { pos } = scanner;
        const isDtype = scanner.isText(DTYPE);
        const isShape = scanner.isText(SHAPE);
        const isOffsets = scanner.isText(DATA_OFFSETS);
        scanner.expect(COLON, 'after a field name');
        if (isDtype) {
          if (dtype !== ABSENT) throw new HeaderFault('DUPLICATE_KEY', 'a second dtype', pos);
          dtype = this.#dtype();
        } else if (isShape) {
          if (shapeStart !== ABSENT) throw new HeaderFault('DUPLICATE_KEY', 'a second shape', pos);
          scanner.expect(OPEN_BRACKET, 'that opens a shape');
          shapeStart = scanner.pos;
          elements = this.#shapeSize();
        } else if (isOffsets) {
          if (begin !== ABSENT) throw new HeaderFault('DUPLICATE_KEY', 'second data_offsets', pos);
          scanner.expect(OPEN_BRACKET, 'that opens data_offsets');
          begin = this.#offset(COMMA);
          end = this.#offset(CLOSE_BRACKET);
        } else {
          scanner.skipValue(FIELD_DEPTH);
        }
      } while (scanner.more(CLOSE_BRACE));
    }
    const last = scanner.pos - 1;
    if (dtype === ABSENT) scanner.fail('a field "dtype"', last);
    if (shapeStart === ABSENT) scanner.fail('a field "shape"', last);
    if (begin === ABSENT) scanner.fail('a field "data_offsets"', last);
    this.#record(entry, dtype, shapeStart, elements, begin, end);
  }

  #dtype(): number {
    const scanner = this.#scanner;
    scanner.string('a dtype, a string');
    const dtype = dtypeCode(this.#bytes, scanner.stringStart, scanner.stringEnd);
    if (dtype !== ABSENT) return dtype;
    const message = `unknown dtype ${quoteName(scanner.text())}`;
    throw new HeaderFault('UNKNOWN_DTYPE', message, scanner.stringStart);
  }

  /** Passes over a shape behind its opening bracket: its elements, `undefined` on overflow. */
  #shapeSize(): number | undefined {
    const scanner = this.#scanner;
    const start = scanner.pos;
    if (scanner.next() === CLOSE_BRACKET) {
      scanner.pos++;
      return 1;
    }
    let elements = 1;
    let exact = true;
    do {
      elements *= scanner.integer('a dimension');
      exact &&= elements <= MAX_SIZE;
    } while (scanner.more(CLOSE_BRACKET));
    return exact ? elements : elementCount(readShape(this.#bytes, start));
  }

  #offset(delimiter: number): number {
    const offset = this.#scanner.integer('an offset');
    this.#scanner.expect(delimiter, 'after an offset: data_offsets are two integers');
    return offset;
  }

  #record(
    entry: number,
    dtype: number,
    shapeStart: number,
    elements: number | undefined,
    begin: number,
    end: number,
  ): void {
    const columns = this.#columns;
    columns.dtypes[entry] = dtype;
    columns.shapeStarts[entry] = shapeStart;
    columns.begins[entry] = begin;
    columns.ends[entry] = end;
    this.#verdicts[entry] = sizeVerdict(elements, dtype, begin, end);
  }

  /** `__metadata__`: null, or an object of strings. */
  #metadataValue(): void {
    const scanner = this.#scanner;
    if (this.#metadata !== undefined) {
      throw new HeaderFault('DUPLICATE_KEY', 'a second "__metadata__"', scanner.pos);
    }
    if (scanner.next() !== OPEN_BRACE) {
      if (this.#literal(scanner.pos, NULL) === ABSENT) {
        scanner.fail('null or an object of strings as "__metadata__"');
      }
      scanner.pos += NULL.length;
      this.#metadata = { ranges: new Uint32Array(0), count: 0 };
      return;
    }
    scanner.pos++;
    let ranges = new Uint32Array(64);
    let count = 0;
    if (scanner.next() === CLOSE_BRACE) {
      scanner.pos++;
    } else {
      do {
        const at = 4 * count++;
        if (at === ranges.length) {
          const grown = new Uint32Array(2 * at);
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
    }
    if (this.#options.duplicates === 'reject') this.#checkMetadataKeys(ranges, count);
    this.#metadata = { ranges, count };
  }

  #checkMetadataKeys(ranges: Uint32Array, count: number): void {
    const index = new NameIndex(
      this.#bytes,
      ranges.filter((_, i) => i % 4 === 0),
      ranges.filter((_, i) => i % 4 === 1),
      count,
    );
    for (let i = 0; i < count; i++) {
      if (index.insert(i) === ABSENT) continue;
      const key = this.#bytes.toString('utf8', ranges[4 * i], ranges[4 * i + 1]);
      const message = `a second key ${quoteName(key)} in "__metadata__"`;
      throw new HeaderFault('DUPLICATE_KEY', message, ranges[4 * i]);
    }
  }

  /** Indexes the names; duplicates are an error, or give way to the last of them. */
  #indexTensors(): NameIndex {
    const { nameStarts, nameEnds } = this.#columns;
    const index = new NameIndex(this.#bytes, nameStarts, nameEnds, this.#count);
    let kept = 0;
    for (let entry = 0; entry < this.#count; entry++) {
      // Entries move down over those that gave way before them; without duplicates none does.
      if (kept !== entry) this.#move(entry, kept);
      const earlier = index.insert(kept);
      if (earlier === ABSENT) {
        kept++;
      } else if (this.#options.duplicates === 'reject') {
        throw new EntryFault(
          'DUPLICATE_KEY',
          'a second entry of this name',
          nameStarts[kept],
          kept,
        );
      } else {
        this.#move(kept, earlier);
      }
    }
    this.#count = kept;
    return index;
  }

  #move(from: number, to: number): void {
    for (const column of Object.values(this.#columns)) column[to] = column[from];
    this.#verdicts[to] = this.#verdicts[from];
  }
}

/** Place of a dtype's name in the table, or ABSENT. */
function dtypeCode(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  for (let code = 0; code < DTYPE_NAMES.length; code++) {
    const name = DTYPE_NAMES[code];
    if (name.length !== length) continue;
    let i = 0;
    while (i < length && bytes[start + i] === name[i]) i++;
    if (i === length) return code;
  }
  return ABSENT;
}
