/**
 * What scans the text of headers and indexes, in AssemblyScript: WebAssembly runs at nearly its full speed
 * from the first byte on, where V8 would interpret JavaScript until most of a large header is read; and what
 * hostile text makes of it stays within its own memory. header/scanner.ts has the other side.
 *
 * The text comes in pieces, at TEXT, with NULs behind it that end every search. Whatever is not plainly what
 * writers write is left to the full grammar, which is in TypeScript: so there are no errors here.
 */
export { count, tiles } from './columns';
export { forgetDescriptions } from './descriptions';
export { readEntries } from './entries';
export {
  BEGINS,
  CODES,
  DTYPE_BYTES,
  DTYPES,
  ENDS,
  MOST_ENTRIES,
  MOST_SHARD_NAME,
  NAME_ENDS,
  NAME_STARTS,
  SHAPE_STARTS,
  SHARD_NAME,
  TEXT,
  TEXT_BYTES,
  TEXT_PADDING,
} from './memory';
export { readPlaces } from './places';
