import { isUtf8 } from 'node:buffer';
import { MOST_INTEGER_BYTES, MOST_LINE_BYTES, MOST_WORK } from './limits.ts';

/**
 * `refused`: what Python does not read either, in any of its readers. `cut`: it ends too early. `limit`: it is beyond
 * the bounds of this package. `malformed`: anything else.
 */
export type FaultKind = 'malformed' | 'refused' | 'limit' | 'cut';

/** What is wrong with a pickle, and where. */
export class PickleFault extends Error {
  readonly kind: FaultKind;
  /** Byte of the pickle. */
  readonly at: number;
  constructor(kind: FaultKind, message: string, at: number) {
    super(`${message}, at byte ${at} of the pickle`);
    this.kind = kind;
    this.at = at;
  }
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** The bytes of a pickle, front to back. */
export class PickleReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  /** What is wrong, but leaves no doubt of what comes then: that is looked at before this is told. */
  #deferred: PickleFault | undefined;
  #at = 0;
  #frameEnd = 0;
  /** What all that is left to be done may cost; see limits.ts. */
  work: number;

  constructor(bytes: Buffer, work = MOST_WORK) {
    this.work = work;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get at(): number {
    return this.#at;
  }

  fault(message: string, kind: Exclude<FaultKind, 'cut'> = 'malformed'): PickleFault {
    return new PickleFault(kind, message, this.#at);
  }

  /** Keeps a fault after which Python may go on: what comes then is seen, and the pickle refused at its end. */
  defer(fault: PickleFault): void {
    this.#deferred ??= fault;
  }

  /** The first fault that did not end the reading. */
  get deferred(): PickleFault | undefined {
    return this.#deferred;
  }

  /** Where the next `length` bytes begin. */
  #take(length: number): number {
    const from = this.#at;
    const end = from + length;
    if (from < this.#frameEnd && end > this.#frameEnd) {
      this.defer(this.fault('an argument that reaches past the end of its frame'));
    }
    if (end > this.#bytes.length) {
      throw new PickleFault('cut', `${length} bytes are expected, but the pickle ends`, from);
    }
    this.#at = end;
    return from;
  }

  beginFrame(): void {
    const length = this.length8();
    if (this.#at < this.#frameEnd) this.defer(this.fault('a frame within a frame'));
    if (this.#at + length > this.#bytes.length) {
      throw new PickleFault('cut', `a frame of ${length} bytes, but the pickle ends`, this.#at);
    }
    this.#frameEnd = this.#at + length;
  }

  byte(): number {
    return this.#bytes[this.#take(1)];
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  /** A length of eight bytes. */
  length8(): number {
    const length = this.#view.getBigUint64(this.#take(8), true);
    if (length > BigInt(Number.MAX_SAFE_INTEGER)) throw this.fault(`a length of ${length} bytes`);
    return Number(length);
  }

  bytes(length: number): Uint8Array {
    const from = this.#take(length);
    return this.#bytes.subarray(from, this.#at);
  }

  text(length: number): string {
    const from = this.#take(length);
    const bytes = this.#bytes.subarray(from, this.#at);
    // Python lets lone surrogates through, and goes on; no name of a tensor may have one.
    if (!isUtf8(bytes)) this.defer(this.fault('text that is not UTF-8'));
    return decoder.decode(bytes);
  }

  /** Up to the next line feed, which is taken too. */
  line(): string {
    return this.text(this.#lineLength() + 1).slice(0, -1);
  }

  /** As {@link line}, where each byte is a character. */
  latin1Line(): string {
    const bytes = this.bytes(this.#lineLength() + 1);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length - 1).toString('latin1');
  }

  #lineLength(): number {
    const from = this.#at;
    const end = this.#bytes.indexOf(0x0a, from) - from;
    if (end >= MOST_LINE_BYTES || (end < 0 && this.#bytes.length - from >= MOST_LINE_BYTES)) {
      this.defer(this.fault(`a line of over ${MOST_LINE_BYTES} bytes`, 'limit'));
    }
    if (end < 0) throw new PickleFault('cut', 'a line is expected, but the pickle ends', from);
    return end;
  }

  /** A two's complement integer of so many bytes. */
  integer(length: number): number | bigint {
    const isLong = length > MOST_INTEGER_BYTES;
    if (isLong) this.defer(this.fault(`an integer of ${length} bytes`, 'limit'));
    const from = this.#take(length);
    if (isLong) return 0;
    const bytes = Buffer.from(this.#bytes.subarray(from, this.#at)).reverse();
    if (length === 0) return 0;
    const unsigned = BigInt(`0x${bytes.toString('hex')}`);
    return smallest(BigInt.asIntN(8 * length, unsigned));
  }
}

/** A number where that is exact. */
export function smallest(integer: bigint): number | bigint {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}
