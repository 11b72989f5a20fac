import { DTYPES } from '../dtypes.ts';
import { byteCount, fillsBytes, MAX_SIZE } from '../layout.ts';

/** What {@link sizeVerdict} may find; all but FITS are errors. */
export const FITS = 0;
export const OVERFLOW = 1;
export const SUBBYTE_SIZE = 2;
export const SIZE_MISMATCH = 3;

/**
 * Whether so many elements of a dtype take the bytes from `begin` to `end`. A verdict and not an
 * error, since an entry may yet give way to a later one of its name.
 */
export function sizeVerdict(
  elements: number | undefined,
  dtype: number,
  begin: number,
  end: number,
): number {
  if (elements === undefined) return OVERFLOW;
  const { bits } = DTYPES[dtype];
  if (bits < 8 && !fillsBytes(elements, bits)) return SUBBYTE_SIZE;
  const bytes = byteCount(elements, bits);
  if (bytes > MAX_SIZE) return OVERFLOW;
  return bytes === end - begin ? FITS : SIZE_MISMATCH;
}
