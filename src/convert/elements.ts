import type { Changes } from './plan.ts';

/** Turns the bytes of each number around. */
export function swapBytes(bytes: Buffer, numberBytes: number): void {
  if (numberBytes === 2) bytes.swap16();
  else if (numberBytes === 4) bytes.swap32();
  else if (numberBytes === 8) bytes.swap64();
}

/** Flips signs, which are the highest bits of numbers. Elements of 8 bytes are complex where `complex`. */
export function flipSigns(
  bytes: Buffer,
  { negative, conjugate }: Changes,
  { elementBytes, complex }: { elementBytes: number; complex: boolean },
): void {
  const numberBytes = complex ? elementBytes / 2 : elementBytes;
  if (negative) flipEach(bytes, numberBytes, numberBytes - 1);
  if (conjugate) flipEach(bytes, elementBytes, elementBytes - 1);
}

function flipEach(bytes: Buffer, step: number, first: number): void {
  for (let at = first; at < bytes.length; at += step) bytes[at] ^= 0x80;
}
