import { DTYPES } from '../dtypes.ts';
import type { ErrorName } from '../errors.ts';
import { byteCount } from '../layout.ts';
import { HEADER_PADDING } from './bytes.ts';
import type { Columns } from './columns.ts';
import { readElementCount } from './entry.ts';
import { EntryFault, HeaderFault } from './fault.ts';
import { JsonScanner } from './json.ts';
import { readShape } from './shape.ts';
import { FITS, OVERFLOW, SUBBYTE_SIZE } from './size.ts';

/** Dimensions that a message shows of a shape. */
const SHOWN_DIMENSIONS = 16;

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
  const order = columns.tiles ? undefined : checkedOrder(bytes, columns);
  const { count, ends } = columns;
  const expected = count === 0 ? 0 : ends[order === undefined ? count - 1 : order[count - 1]];
  if (expected === dataLength) return order;
  const [code, comparison] =
    expected > dataLength ? (['TRUNCATED', 'only'] as const) : (['TRAILING_BYTES', 'but'] as const);
  throw new HeaderFault(
    code,
    `the header describes ${expected} bytes of data, ${comparison} ${dataLength} follow it`,
    bytes.length - HEADER_PADDING,
  );
}

/** The order of the data, with every entry checked; only reached when the columns do not tile. */
function checkedOrder(bytes: Buffer, columns: Columns): Uint32Array {
  const { count, begins, ends, verdicts } = columns;
  const order = offsetOrder(columns);
  let expected = 0;
  for (let rank = 0; rank < count; rank++) {
    const entry = order[rank];
    if (begins[entry] !== expected || ends[entry] < begins[entry]) {
      const problem = `the data before it ends at ${expected}`;
      throw entryError(bytes, columns, entry, 'INVALID_OFFSET', problem);
    }
    if (verdicts[entry] !== FITS) throw sizeError(bytes, columns, entry);
    expected = ends[entry];
  }
  return order;
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
      const scanner = new JsonScanner(bytes);
      scanner.pos = shapeStarts[entry];
      const elements = readElementCount(scanner) ?? Number.NaN;
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
