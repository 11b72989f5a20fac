/** Signatures of zip's structures (PKWARE's APPNOTE 6.3.10), and how long they are without what varies. */
export const LOCAL = { signature: 0x04034b50, bytes: 30 } as const;
export const CENTRAL = { signature: 0x02014b50, bytes: 46 } as const;
export const END = { signature: 0x06054b50, bytes: 22 } as const;
export const END_64 = { signature: 0x06064b50, bytes: 56 } as const;
export const LOCATOR_64 = { signature: 0x07064b50, bytes: 20 } as const;
export const DESCRIPTOR = { signature: 0x08074b50, bytes: 16, bytes64: 24 } as const;

/** Sizes are in a descriptor behind the data, and again in the directory. */
export const FLAG_DESCRIPTOR = 0x0008;
/** Names are UTF-8. */
export const FLAG_UTF8 = 0x0800;

/** How records are compressed. */
export const STORE = 0;
export const DEFLATE = 8;
/** How hard a compressor has tried: nothing that a reader has to know. */
export const FLAGS_DEFLATE = 0x0006;

/** Says that a field of four bytes, or of two, is in a zip64 structure. */
export const IN_ZIP64 = 0xffffffff;
export const IN_ZIP64_SHORT = 0xffff;

const EXTRA_ZIP64 = 0x0001;
/** Other names and other contents than the header's own: Unicode path, AES. */
const EXTRA_FORBIDDEN: ReadonlySet<number> = new Set([0x7075, 0x9901]);

/**
 * The numbers of eight bytes that an extra field has for the fields that say {@link IN_ZIP64};
 * `undefined` where it is malformed.
 */
export function zip64Numbers(extra: Buffer): number[] | undefined {
  let numbers: number[] | undefined = [];
  let found = false;
  for (let at = 0; at < extra.length; ) {
    if (at + 4 > extra.length) return undefined;
    const id = extra.readUInt16LE(at);
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (end > extra.length || EXTRA_FORBIDDEN.has(id)) return undefined;
    if (id === EXTRA_ZIP64) {
      if (found || (end - at - 4) % 8 !== 0) return undefined;
      found = true;
      numbers = uint64s(extra, at + 4, end);
      if (numbers === undefined) return undefined;
    }
    at = end;
  }
  return numbers;
}

function uint64s(bytes: Buffer, begin: number, end: number): number[] | undefined {
  const numbers: number[] = [];
  for (let at = begin; at < end; at += 8) {
    const number = safeUint64(bytes, at);
    if (number === undefined) return undefined;
    numbers.push(number);
  }
  return numbers;
}

/** `undefined` beyond 2^53 − 1. */
export function safeUint64(bytes: Buffer, at: number): number | undefined {
  const number = Number(bytes.readBigUInt64LE(at));
  return Number.isSafeInteger(number) ? number : undefined;
}
