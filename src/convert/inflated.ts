import { crc32, createInflateRaw, type InflateRaw } from 'node:zlib';
import { quoteName } from '../escape.ts';
import type { SafetensorsError } from '../index.ts';
import { malformed } from './fault.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import type { ZipRecord } from './zip.ts';

/** Compressed bytes that are read at once, and bytes that are inflated at once. */
const READ_BYTES = 2 ** 18;
const CHUNK_BYTES = 2 ** 18;

/**
 * What a compressed record of a zip file holds, front to back: never more than a few chunks are in memory, and
 * never more is inflated than the directory says and one chunk.
 *
 * zlib works on other threads. {@link close} ends that, also in the middle.
 */
export class InflatedRecord {
  readonly #record: ZipRecord;
  readonly #path: string;
  readonly #inflate: InflateRaw;
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  /** Bytes that were taken out of zlib, and their checksum. */
  #inflated = 0;
  #crc = 0;

  constructor(file: ByteReader, record: ZipRecord) {
    this.#record = record;
    this.#path = file.path;
    this.#inflate = createInflateRaw({ chunkSize: CHUNK_BYTES });
    this.#chunks = this.#inflate[Symbol.asyncIterator]();
    // Whoever takes chunks learns of a failure; nobody else has to.
    this.#inflate.on('error', () => {});
    feed(this.#inflate, file, record).catch((error) => this.#inflate.destroy(error));
  }

  /** Fills `target` with the next bytes. */
  async readInto(target: Uint8Array): Promise<void> {
    for (let at = 0; at < target.length; ) {
      if (this.#rest.length === 0 && !(await this.#more())) throw this.#wrong('it is too short');
      const part = this.#rest.subarray(0, target.length - at);
      target.set(part, at);
      at += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
  }

  /** @throws {SafetensorsError} MALFORMED_CHECKPOINT unless all of it has been read, and was what was packed */
  async end(): Promise<void> {
    const { begin, end, byteLength } = this.#record;
    if (this.#rest.length > 0 || (await this.#more())) throw this.#wrong('it is too long');
    if (this.#inflated !== byteLength) throw this.#wrong('it is too short');
    if (this.#inflate.bytesWritten !== end - begin) throw this.#wrong('bytes behind its data');
    if (this.#crc !== this.#record.crc32) throw this.#wrong('another checksum');
  }

  close(): void {
    this.#inflate.destroy();
  }

  async #more(): Promise<boolean> {
    let next: IteratorResult<Buffer>;
    try {
      next = await this.#chunks.next();
    } catch (error) {
      if (!isZlibError(error)) throw error;
      throw this.#wrong(`it cannot be inflated (${error.code})`);
    }
    if (next.done) return false;
    this.#rest = next.value;
    this.#inflated += next.value.length;
    this.#crc = crc32(next.value, this.#crc);
    if (this.#inflated > this.#record.byteLength) throw this.#wrong('it is too long');
    return true;
  }

  #wrong(what: string): SafetensorsError {
    return malformed(this.#path, `record ${quoteName(this.#record.name)}: ${what}`);
  }
}

/** Hands the compressed bytes over, each piece when the one before has been inflated. */
async function feed(inflate: InflateRaw, file: ByteReader, { begin, end }: ZipRecord) {
  for (let at = begin; at < end && !inflate.destroyed; at += READ_BYTES) {
    const piece = await file.read(at, Math.min(at + READ_BYTES, end));
    await new Promise<void>((resolve, reject) => {
      inflate.write(piece, (error) => (error ? reject(error) : resolve()));
    });
  }
  inflate.end();
}

function isZlibError(error: unknown): error is NodeJS.ErrnoException {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code !== undefined && /^Z_/.test(code);
}
