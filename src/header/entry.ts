import { DTYPES } from '../dtypes.ts';
import { quoteName } from '../escape.ts';
import { type Product, times } from '../layout.ts';
import type { Columns } from './columns.ts';
import { HeaderFault } from './fault.ts';
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  type JsonScanner,
  OPEN_BRACE,
  OPEN_BRACKET,
} from './json.ts';
import { sizeVerdict } from './size.ts';

/** Arrays and objects open around a field of an entry: the header and the entry. */
const FIELD_DEPTH = 2;

const ABSENT = -1;

const DTYPE = Buffer.from('dtype');
const SHAPE = Buffer.from('shape');
const DATA_OFFSETS = Buffer.from('data_offsets');

const DTYPE_CODES: ReadonlyMap<string, number> = new Map(
  DTYPES.map(({ name, code }) => [name, code]),
);

/**
 * Reads an entry in any JSON, the scanner standing behind the colon after its name: fields in any
 * order, unknown fields, white space, escapes.
 */
export function readEntry(
  scanner: JsonScanner,
  columns: Columns,
  nameStart: number,
  nameEnd: number,
): void {
  let dtype = ABSENT;
  let shapeStart = ABSENT;
  let elements: number | undefined;
  let begin = ABSENT;
  let end = ABSENT;
  scanner.expect(OPEN_BRACE, 'that opens an entry');
  if (scanner.next() === CLOSE_BRACE) {
    scanner.pos++;
  } else {
    do {
      scanner.string('a field name');
      const isDtype = scanner.isText(DTYPE);
      const isShape = scanner.isText(SHAPE);
      const isOffsets = scanner.isText(DATA_OFFSETS);
      const at = scanner.stringStart;
      scanner.expect(COLON, 'after a field name');
      if (isDtype) {
        if (dtype !== ABSENT) throw new HeaderFault('DUPLICATE_KEY', 'a second dtype', at);
        dtype = readDtype(scanner);
      } else if (isShape) {
        if (shapeStart !== ABSENT) throw new HeaderFault('DUPLICATE_KEY', 'a second shape', at);
        scanner.expect(OPEN_BRACKET, 'that opens a shape');
        shapeStart = scanner.pos;
        elements = readElementCount(scanner);
      } else if (isOffsets) {
        if (begin !== ABSENT) throw new HeaderFault('DUPLICATE_KEY', 'second data_offsets', at);
        scanner.expect(OPEN_BRACKET, 'that opens data_offsets');
        begin = readOffset(scanner, COMMA);
        end = readOffset(scanner, CLOSE_BRACKET);
      } else {
        scanner.skipValue(FIELD_DEPTH);
      }
    } while (scanner.more(CLOSE_BRACE));
  }
  const last = scanner.pos - 1;
  if (dtype === ABSENT) scanner.fail('a field "dtype"', last);
  if (shapeStart === ABSENT) scanner.fail('a field "shape"', last);
  if (begin === ABSENT) scanner.fail('a field "data_offsets"', last);
  const verdict = sizeVerdict(elements, dtype, begin, end);
  columns.add(nameStart, nameEnd, dtype, shapeStart, verdict, begin, end);
}

function readDtype(scanner: JsonScanner): number {
  scanner.string('a dtype, a string');
  const name = scanner.text();
  const code = DTYPE_CODES.get(name);
  if (code !== undefined) return code;
  throw new HeaderFault('UNKNOWN_DTYPE', `unknown dtype ${quoteName(name)}`, scanner.stringStart);
}

/**
 * Passes over a shape, up to and with its closing bracket: its elements, undefined on overflow. Keeps
 * no dimension, of which a header may have tens of millions.
 */
export function readElementCount(scanner: JsonScanner): number | undefined {
  if (scanner.next() === CLOSE_BRACKET) {
    scanner.pos++;
    return 1;
  }
  let product: Product = 1;
  do {
    product = times(product, scanner.integer('a dimension'));
  } while (scanner.more(CLOSE_BRACKET));
  return typeof product === 'number' ? product : undefined;
}

function readOffset(scanner: JsonScanner, delimiter: number): number {
  const offset = scanner.integer('an offset');
  scanner.expect(delimiter, 'after an offset: data_offsets are two integers');
  return offset;
}
