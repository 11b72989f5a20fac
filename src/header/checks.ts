import { DTYPES } from '../dtypes.ts';
import type { ErrorName } from '../errors.ts';
import { byteCount, elementCount } from '../layout.ts';
import type { Columns } from './columns.ts';
import { HEADER_PADDING, HeaderFault } from './json.ts';
import { readShape } from './shape.ts';
import { FITS, OVERFLOW, SUBBYTE_SIZE } from './size.ts';

/** Dimensions that a message shows of a shape. */
const SHOWN_DIMENSIONS = 16;

/** A fault of one entry, found when the scanning was done. */
export class EntryFault extends HeaderFault {
  readonly entry: number;

  constructor(code: ErrorName, message: string, at: number, entry: number) {
    super(code, message, at);
    this.entry = entry;
  }
}

/**
 * Checks that the tensors tile the data: the first begins at 0, each begins where the last one
 * ended, the last ends at the end of the file, and each is as long as its shape and dtype say.
 * Returns the entries in the order of their data, or `undefined` when that is the header's order,
 * as in every file that the reference wrote.
 */
export function checkLayout(
  bytes: Buffer,
  columns: Columns,
  dataLength: number,
): Uint32Array | undefined {
  const { count, begins, ends, verdicts } = columns;
  const order = isInOrder(columns) ? undefined : offsetOrder(columns);
  let expected = 0;
  for (let rank = 0; rank < count; rank++) {
    const entry = order === undefined ? rank : order[rank];
    if (begins[entry] !== expected || ends[entry] < begins[entry]) {
      const problem = `the data before it ends at ${expected}`;
      throw entryError(bytes, columns, entry, 'INVALID_OFFSET', problem);
    }
    if (verdicts[entry] !== FITS) throw sizeError(bytes, columns, entry);
    expected = ends[entry];
  }
  if (expected === dataLength) return order;
  const [code, comparison] =
    expected > dataLength ? (['TRUNCATED', 'only'] as const) : (['TRAILING_BYTES', 'but'] as const);
  throw new HeaderFault(
    code,
    `the header describes ${expected} bytes of data, ${comparison} ${dataLength} follow it`,
    bytes.length - HEADER_PADDING,
  );
}

function isInOrder({ count, begins, ends }: Columns): boolean {
  for (let entry = 1; entry < count; entry++) {
    if (begins[entry] !== ends[entry - 1]) return false;
  }
  return true;
}

/** Entries by begin, then by end, so that an empty tensor stands before the one that follows it. */
function offsetOrder({ count, begins, ends }: Columns): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, entry) => entry);
  return order.sort((a, b) => begins[a] - begins[b] || ends[a] - ends[b] || a - b);
}

function sizeError(bytes: Buffer, columns: Columns, entry: number): EntryFault {
  const { begins, ends, dtypes, shapeStarts, verdicts } = columns;
  switch (verdicts[entry]) {
    case OVERFLOW:
      return entryError(bytes, columns, entry, 'OVERFLOW', 'its size is over 2^53 − 1');
    case SUBBYTE_SIZE:
      return entryError(
        bytes,
        columns,
        entry,
        'SUBBYTE_SIZE',
        'its elements do not fill whole bytes',
      );
    default: {
      const elements = elementCount(readShape(bytes, shapeStarts[entry])) ?? Number.NaN;
      const expected = byteCount(elements, DTYPES[dtypes[entry]].bits);
      const problem = `expected ${expected} bytes, found ${ends[entry] - begins[entry]}`;
      return entryError(bytes, columns, entry, 'SIZE_MISMATCH', problem);
    }
  }
}

function entryError(
  bytes: Buffer,
  columns: Columns,
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
