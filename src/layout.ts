/** The largest size or offset, in bytes or elements: 2^53 − 1, the largest exact integer. */
export const MAX_SIZE = Number.MAX_SAFE_INTEGER;

const MAX_U64 = 2n ** 64n - 1n;

/**
 * The product of a shape's dimensions from left to right, or `undefined` when it overflows: when
 * the whole is over 2^53 − 1, or a part of it over 2^64 − 1 (a later 0 does not excuse that, as in
 * the reference).
 */
export function elementCount(shape: Iterable<number>): number | undefined {
  let product = 1;
  for (const dimension of shape) {
    if (dimension === 0) return 0;
    product *= dimension;
    // What is over this may be rounded, and what is not is exact.
    if (product > MAX_SIZE) return exactCount(shape);
  }
  return product;
}

function exactCount(shape: Iterable<number>): number | undefined {
  let exact = 1n;
  for (const dimension of shape) {
    if (dimension === 0) return 0;
    if (dimension !== 1) exact *= BigInt(dimension);
    if (exact > MAX_U64) return undefined;
  }
  return exact <= MAX_SIZE ? Number(exact) : undefined;
}

/** Whether so many elements fill whole bytes; only F4 and F6 can fail to. */
export function fillsBytes(elements: number, bits: number): boolean {
  return ((elements % 8) * bits) % 8 === 0;
}

/** Bytes of so many elements that fill whole bytes. Exact wherever it is at most {@link MAX_SIZE}. */
export function byteCount(elements: number, bits: number): number {
  return (elements / 8) * bits;
}

/** Elements in so many bytes, which they fill: the inverse of {@link byteCount}. */
export function elementsIn(bytes: number, bits: number): number {
  // Exact: an eighth of an element count is a number that has a double.
  return (bytes / bits) * 8;
}
