import { isUtf8 } from 'node:buffer';
import { MOST_INTEGER_BYTES } from './limits.ts';
import { OP } from './opcodes.ts';
import { type PickleReader, smallest } from './reader.ts';
import { PyBytes, PyFloat, type Value } from './values.ts';

/** Decimal digits of the longest integer. */
const MOST_DIGITS = Math.floor(MOST_INTEGER_BYTES * Math.log10(256));

/** The constant that an opcode stands for; `undefined` for opcodes that are none. */
export function readScalar(opcode: number, reader: PickleReader): Value | undefined {
  switch (opcode) {
    case OP.NONE:
      return null;
    case OP.NEWTRUE:
      return true;
    case OP.NEWFALSE:
      return false;
    case OP.BININT:
      return reader.int32();
    case OP.BININT1:
      return reader.byte();
    case OP.BININT2:
      return reader.uint16();
    case OP.LONG1:
      return reader.integer(reader.byte());
    case OP.LONG4:
      return reader.integer(reader.uint32());
    case OP.INT:
      return readInt(reader);
    case OP.LONG:
      return decimal(reader, reader.latin1Line().replace(/L$/, ''));
    case OP.BINFLOAT:
      return new PyFloat(reader.float64());
    case OP.FLOAT:
      return readFloat(reader);
    case OP.BINUNICODE:
      return reader.text(reader.uint32());
    case OP.SHORT_BINUNICODE:
      return reader.text(reader.byte());
    case OP.BINUNICODE8:
      return reader.text(reader.length8());
    case OP.UNICODE:
      return readUnicode(reader);
    case OP.STRING:
      return readString(reader);
    case OP.BINSTRING:
      return textOrBytes(reader.bytes(reader.uint32()));
    case OP.SHORT_BINSTRING:
      return textOrBytes(reader.bytes(reader.byte()));
    case OP.BINBYTES:
      return new PyBytes(reader.bytes(reader.uint32()));
    case OP.SHORT_BINBYTES:
      return new PyBytes(reader.bytes(reader.byte()));
    case OP.BINBYTES8:
    case OP.BYTEARRAY8:
      return new PyBytes(reader.bytes(reader.length8()));
    default:
      return undefined;
  }
}

/** `I00` and `I01` were the booleans of protocols 0 and 1. */
function readInt(reader: PickleReader): Value {
  const line = reader.latin1Line();
  if (line === '00') return false;
  if (line === '01') return true;
  return decimal(reader, line);
}

function decimal(reader: PickleReader, digits: string): number | bigint {
  // With zeros before it, a number is octal to some readers of pickles, and none to others.
  if (!/^(0|-?[1-9]\d*)$/.test(digits)) return Number(noNumber(reader, digits));
  if (digits.length <= MOST_DIGITS) return smallest(BigInt(digits));
  reader.defer(reader.fault(`an integer of ${digits.length} digits`, 'limit'));
  return 0;
}

function readFloat(reader: PickleReader): PyFloat {
  const line = reader.latin1Line();
  const special = /^([+-]?)(inf|nan)$/.exec(line);
  if (special) {
    const value = special[2] === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY;
    return new PyFloat(special[1] === '-' ? -value : value);
  }
  const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(line);
  return new PyFloat(isNumber ? Number(line) : noNumber(reader, line));
}

/** What no number has in any notation of C or Python; behind a zero byte there may be anything. */
const OF_NO_NUMBER = /^[^\0]*[^\0\s\d+\-_.xXoObBeEaAcCdDfFnNiItTyYlLjJ]/;

/** Stands for what is no number here. Some readers take it for one, and go on. */
function noNumber(reader: PickleReader, line: string): number {
  if (OF_NO_NUMBER.test(line)) throw reader.fault('a number that is none', 'refused');
  reader.defer(reader.fault('a number that is none'));
  return 0;
}

/** Of a value in the memo, in decimal. */
export function readMemoIndex(reader: PickleReader): number {
  const line = reader.latin1Line();
  if (/^\d{1,10}$/.test(line)) return Number(line);
  // As `int` of C and Python read them.
  const digits = /^\s*\+?(\d(?:_?\d){0,9})\s*(\0.*)?$/s.exec(line)?.[1];
  const fault = reader.fault('an index of the memo that is none');
  if (digits === undefined) throw fault;
  reader.defer(fault);
  return Number(digits.replaceAll('_', ''));
}

/** A backslash with what belongs to it: of two in a row, the second begins nothing. */
const RAW_ESCAPES = /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.)/gs;

/** Python's raw-unicode-escape: a byte is a character, but for escapes. */
function readUnicode(reader: PickleReader): string {
  return reader.latin1Line().replace(RAW_ESCAPES, (match, short, long) => {
    const digits = short ?? long;
    if (digits === undefined) {
      if (match === '\\u' || match === '\\U') throw reader.fault('an escape that is none');
      return match;
    }
    const code = Number.parseInt(digits, 16);
    if (code > 0x10ffff) throw reader.fault('a character beyond the last');
    // Python makes no character of a pair of them, and goes on with halves.
    if (code >= 0xd800 && code <= 0xdfff) {
      reader.defer(reader.fault('text with half a surrogate pair'));
    }
    return String.fromCodePoint(code);
  });
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** A literal of Python 2, in quotes. */
function readString(reader: PickleReader): string | PyBytes {
  const line = reader.latin1Line();
  const quote = line[0];
  if (line.length < 2 || (quote !== "'" && quote !== '"') || !line.endsWith(quote)) {
    throw reader.fault('a string without its quotes', 'refused');
  }
  const text = line
    .slice(1, -1)
    .replace(
      /\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3})|([\\'"abfnrtv]))/g,
      (match, hex, octal, letter) => {
        if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
        if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8) & 0xff);
        return ESCAPES[letter] ?? match;
      },
    );
  return textOrBytes(Buffer.from(text, 'latin1'));
}

/** A `str` of Python 2: text where it can be. */
function textOrBytes(bytes: Uint8Array): string | PyBytes {
  return isUtf8(bytes)
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
    : new PyBytes(bytes);
}
