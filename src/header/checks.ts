import { DTYPES } from '../dtypes.ts';
import type { ErrorName } from '../errors.ts';
import { byteCount, fillsBytes, MAX_SIZE } from '../layout.ts';
import { HeaderFault } from './json.ts';
import { type Columns, readShape } from './table.ts';

/** What {@link sizeVerdict} found of an entry's size; an error once the entry is known to count. */
export const FITS = 0;
const OVERFLOW = 1;
const SUBBYTE_SIZE = 2;
const SIZE_MISMATCH = 3;

/** Dimensions that a message shows of a shape. */
const SHOWN_DIMENSIONS = 16;

/** Whether so many elements of a dtype take the bytes from `begin` to `end`. */
export function sizeVerdict(
  elements: number | undefined,
  dtype: number,
  begin: number,
  end: number,
): number {
  if (elements === undefined) return OVERFLOW;
  const { bits } = DTYPES[dtype];
  if (!fillsBytes(elements, bits)) return SUBBYTE_SIZE;
  const bytes = byteCount(elements, bits);
  if (bytes > MAX_SIZE) return OVERFLOW;
  return bytes === end - begin ? FITS : SIZE_MISMATCH;
}

/** A fault of one entry, found when the scanning was done. */
export class EntryFault extends HeaderFault {
  readonly entry: number;

  constructor(code: ErrorName, message: string, at: number, entry: number) {
    super(code, message, at);
    this.entry = entry;
  }
}

export interface Layout {
  /** The header's bytes, for messages. */
  bytes: Buffer;
  columns: Columns;
  /** From {@link sizeVerdict}, for each entry. */
  verdicts: Uint8Array;
  count: number;
  /** Bytes that follow the header in the file. */
  dataLength: number;
}

/**
 * Checks that the tensors tile the data: the first begins at 0, each begins where the last one
 * ended, the last ends at the end of the file, and each is as long as its shape and dtype say.
 * Returns the entries in the order of their data, or `undefined` when that is the header's order,
 * as in every file that the reference wrote.
 */
export function checkLayout(layout: Layout): Uint32Array | undefined {
  const { bytes, columns, count, dataLength } = layout;
  const { begins, ends } = columns;
  const order = isInOrder(columns, count) ? undefined : offsetOrder(columns, count);
  let expected = 0;
  for (let rank = 0; rank < count; rank++) {
    const entry = order === undefined ? rank : order[rank];
    if (begins[entry] !== expected || ends[entry] < begins[entry]) {
      throw entryError(layout, entry, 'INVALID_OFFSET', `the data before it ends at ${expected}`);
    }
    if (layout.verdicts[entry] !== FITS) throw sizeError(layout, entry);
    expected = ends[entry];
  }
  if (expected === dataLength) return order;
  const [code, comparison] =
    expected > dataLength ? (['TRUNCATED', 'only'] as const) : (['TRAILING_BYTES', 'but'] as const);
  throw new HeaderFault(
    code,
    `the header describes ${expected} bytes of data, ${comparison} ${dataLength} follow it`,
    bytes.length - 1,
  );
}

function isInOrder({ begins, ends }: Columns, count: number): boolean {
  for (let entry = 1; entry < count; entry++) {
    if (begins[entry] !== ends[entry - 1]) return false;
  }
  return true;
}

/** Entries by begin, then by end, so that an empty tensor stands before the one that follows it. */
function offsetOrder({ begins, ends }: Columns, count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, entry) => entry);
  return order.sort((a, b) => begins[a] - begins[b] || ends[a] - ends[b] || a - b);
}

function sizeError(layout: Layout, entry: number): EntryFault {
  const { columns, verdicts } = layout;
  switch (verdicts[entry]) {
    case OVERFLOW:
      return entryError(layout, entry, 'OVERFLOW', 'its size is over 2^53 − 1');
    case SUBBYTE_SIZE:
      return entryError(layout, entry, 'SUBBYTE_SIZE', 'its elements do not fill whole bytes');
    default: {
      const elements = readShape(layout.bytes, columns.shapeStarts[entry]).reduce(
        (a, b) => a * b,
        1,
      );
      const bytes = byteCount(elements, DTYPES[columns.dtypes[entry]].bits);
      const found = columns.ends[entry] - columns.begins[entry];
      return entryError(layout, entry, 'SIZE_MISMATCH', `expected ${bytes} bytes, found ${found}`);
    }
  }
}

function entryError(
  { bytes, columns }: Layout,
  entry: number,
  code: ErrorName,
  problem: string,
): EntryFault {
  const shape = readShape(bytes, columns.shapeStarts[entry], SHOWN_DIMENSIONS + 1);
  const shown = shape.slice(0, SHOWN_DIMENSIONS).join(', ');
  const dimensions = shape.length > SHOWN_DIMENSIONS ? `${shown}, …` : shown;
  return new EntryFault(
    code,
    `${DTYPES[columns.dtypes[entry]].name} [${dimensions}] with data_offsets ` +
      `[${columns.begins[entry]}, ${columns.ends[entry]}]: ${problem}`,
    columns.shapeStarts[entry],
    entry,
  );
}
