import { isUtf8 } from 'node:buffer';
import { SafetensorsError } from '../../index.ts';
import { malformed } from '../fault.ts';
import type { ByteReader } from '../mapped-checkpoint.ts';

/** Read at once. */
const WINDOW_BYTES = 2 ** 20;

/** Of all that comes before the data. The vocabularies of the largest models take some 20 MB. */
const MOST_HEADER_BYTES = 256 * 2 ** 20;

/** Numbers and strings of a GGUF file, front to back, through a window of memory. */
export class GgufCursor {
  readonly #file: ByteReader;
  #window: Buffer = Buffer.alloc(0);
  /** Byte of the file that the window begins at, and the next one in the window. */
  #start = 0;
  #next = 0;
  bigEndian = false;

  constructor(file: ByteReader) {
    this.#file = file;
  }

  /** The byte of the file that is read next. */
  get at(): number {
    return this.#start + this.#next;
  }

  async uint8(): Promise<number> {
    const at = await this.#need(1);
    return this.#window[at];
  }

  async int8(): Promise<number> {
    const at = await this.#need(1);
    return this.#window.readInt8(at);
  }

  async uint16(): Promise<number> {
    const at = await this.#need(2);
    return this.bigEndian ? this.#window.readUInt16BE(at) : this.#window.readUInt16LE(at);
  }

  async int16(): Promise<number> {
    const at = await this.#need(2);
    return this.bigEndian ? this.#window.readInt16BE(at) : this.#window.readInt16LE(at);
  }

  async uint32(): Promise<number> {
    const at = await this.#need(4);
    return this.bigEndian ? this.#window.readUInt32BE(at) : this.#window.readUInt32LE(at);
  }

  async int32(): Promise<number> {
    const at = await this.#need(4);
    return this.bigEndian ? this.#window.readInt32BE(at) : this.#window.readInt32LE(at);
  }

  async float32(): Promise<number> {
    const at = await this.#need(4);
    return this.bigEndian ? this.#window.readFloatBE(at) : this.#window.readFloatLE(at);
  }

  async float64(): Promise<number> {
    const at = await this.#need(8);
    return this.bigEndian ? this.#window.readDoubleBE(at) : this.#window.readDoubleLE(at);
  }

  async uint64(): Promise<bigint> {
    const at = await this.#need(8);
    return this.bigEndian ? this.#window.readBigUInt64BE(at) : this.#window.readBigUInt64LE(at);
  }

  async int64(): Promise<bigint> {
    const at = await this.#need(8);
    return this.bigEndian ? this.#window.readBigInt64BE(at) : this.#window.readBigInt64LE(at);
  }

  /** A number of things, of bytes or of elements: nothing real has more than 2^53 − 1. */
  async count(what: string): Promise<number> {
    const at = this.at;
    const count = Number(await this.uint64());
    if (!Number.isSafeInteger(count)) throw this.wrong(`${what} beyond all bounds`, at);
    return count;
  }

  /** A string of at most `most` bytes. */
  async string(what: string, most: number): Promise<string> {
    const at = this.at;
    const length = await this.count(`${what} of a length`);
    if (length > most)
      throw this.wrong(`${what} of ${length} bytes, where ${most} are allowed`, at);
    return this.text(length, what);
  }

  /** So many bytes of UTF-8. */
  async text(length: number, what: string): Promise<string> {
    const at = this.at;
    const begin = await this.#need(length);
    const bytes = this.#window.subarray(begin, begin + length);
    if (!isUtf8(bytes)) throw this.wrong(`${what} that is not UTF-8`, at);
    return bytes.toString();
  }

  skip(bytes: number): void {
    this.#check(bytes);
    this.#next += bytes;
  }

  wrong(what: string, at: number): SafetensorsError {
    return malformed(this.#file.path, `${what}, at byte ${at}`);
  }

  limit(what: string): SafetensorsError {
    const message = `${what}, at byte ${this.at}: more than any GGUF file has`;
    return new SafetensorsError('CHECKPOINT_LIMIT', message, { path: this.#file.path });
  }

  /** Has the next bytes in the window, passes them, and returns where they are in it. */
  async #need(bytes: number): Promise<number> {
    this.#check(bytes);
    if (this.#next + bytes > this.#window.length) {
      const begin = this.at;
      const end = Math.min(begin + Math.max(bytes, WINDOW_BYTES), this.#file.size);
      this.#window = await this.#file.read(begin, end);
      this.#start = begin;
      this.#next = 0;
    }
    const at = this.#next;
    this.#next += bytes;
    return at;
  }

  #check(bytes: number): void {
    if (bytes > this.#file.size - this.at)
      throw this.wrong('the file ends within its header', this.at);
    if (this.at + bytes > MOST_HEADER_BYTES) throw this.limit('metadata');
  }
}
