/** The largest size or offset, in bytes or elements: 2^53 − 1, the largest exact integer. */
export const MAX_SIZE = Number.MAX_SAFE_INTEGER;

const MAX_U64 = 2n ** 64n - 1n;

/**
 * A product of dimensions from left to right: a bigint while it is over 2^53 − 1, and `undefined`
 * for good once it was over 2^64 − 1 (a later 0 does not excuse that, as in the reference).
 */
export type Product = number | bigint | undefined;

/** The product with one dimension more. */
export function times(product: Product, dimension: number): Product {
  if (typeof product === 'number') {
    const exact = product * dimension;
    return exact <= MAX_SIZE ? exact : times(BigInt(product), dimension);
  }
  if (product === undefined || dimension === 1) return product;
  const exact = product * BigInt(dimension);
  if (exact > MAX_U64) return undefined;
  return exact <= MAX_SIZE ? Number(exact) : exact;
}

/** The elements of a shape, or `undefined` when their number overflows: it, or its {@link Product}. */
export function elementCount(shape: Iterable<number>): number | undefined {
  let product: Product = 1;
  for (const dimension of shape) product = times(product, dimension);
  return typeof product === 'number' ? product : undefined;
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
