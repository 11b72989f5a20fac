import type { ErrorName } from '../errors.ts';
import { HEADER_PADDING } from './bytes.ts';

/** Something that the header may not hold; {@link parseHeader} adds the tensor and the file. */
export class HeaderFault extends Error {
  readonly code: ErrorName;
  /** Where, in bytes from the start of the header. */
  readonly at: number;

  constructor(code: ErrorName, message: string, at: number) {
    super(message);
    this.code = code;
    this.at = at;
  }
}

/** A fault of one entry, found when the scanning was done. */
export class EntryFault extends HeaderFault {
  readonly entry: number;

  constructor(code: ErrorName, message: string, at: number, entry: number) {
    super(code, message, at);
    this.entry = entry;
  }
}

/** The fault of something else than `expected` at `at`. */
export function unexpected(bytes: Uint8Array, expected: string, at: number): HeaderFault {
  return new HeaderFault('HEADER_JSON', `expected ${expected}, found ${found(bytes, at)}`, at);
}

function found(bytes: Uint8Array, at: number): string {
  if (at >= bytes.length - HEADER_PADDING) return 'the end of the header';
  const byte = bytes[at];
  if (byte > 0x20 && byte < 0x7f) return `"${String.fromCharCode(byte)}"`;
  return `byte 0x${byte.toString(16).padStart(2, '0')}`;
}
