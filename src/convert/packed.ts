import { InflatedRecord } from './inflated.ts';
import type { ByteReader } from './mapped-checkpoint.ts';
import type { ZipRecord } from './zip.ts';

/**
 * Bytes of a tensor that are compressed in the file. Those that lie in order are inflated as they are
 * written; others have to be in memory as a whole, and are so one at a time.
 */
export class PackedBytes {
  readonly #file: ByteReader;
  readonly #record: ZipRecord;
  readonly #skipped: number;
  readonly #turns: Turns;

  /** @param skipped Bytes of the record before those of the tensor, which are all others. */
  constructor(file: ByteReader, record: ZipRecord, skipped: number, turns: Turns) {
    this.#file = file;
    this.#record = record;
    this.#skipped = skipped;
    this.#turns = turns;
  }

  /** The caller closes it. */
  async open(): Promise<InflatedRecord> {
    const stream = new InflatedRecord(this.#file, this.#record);
    try {
      await stream.readInto(Buffer.alloc(this.#skipped));
      return stream;
    } catch (error) {
      stream.close();
      throw error;
    }
  }

  /** All bytes; the next tensor has to wait until they are let go. */
  async whole(): Promise<{ bytes: Buffer; letGo: () => void }> {
    const letGo = await this.#turns.take();
    try {
      const stream = await this.open();
      try {
        const bytes = Buffer.allocUnsafeSlow(this.#record.byteLength - this.#skipped);
        await stream.readInto(bytes);
        await stream.end();
        return { bytes, letGo };
      } finally {
        stream.close();
      }
    } catch (error) {
      letGo();
      throw error;
    }
  }
}

/** Lets one after another in. */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Resolves to what ends the turn. */
  async take(): Promise<() => void> {
    const before = this.#last;
    let letGo = () => {};
    this.#last = new Promise((resolve) => {
      letGo = resolve;
    });
    await before;
    return letGo;
  }
}
