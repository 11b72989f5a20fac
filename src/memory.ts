import { inspect, types } from 'node:util';
import { Container } from './container.ts';
import { allocateHeader, BLANK_PIECE_BYTES, HeaderEnd, LENGTH_BYTES } from './header/bytes.ts';
import { parseHeader } from './header/parse.ts';
import { headerLength, PREAMBLE_BYTES } from './header/preamble.ts';
import type { HeaderTable } from './header/table.ts';
import { type ParseOptions, parseOptions } from './open-options.ts';
import { BufferStorage } from './storage/buffer-storage.ts';
import type { Backend } from './storage/storage.ts';

/**
 * The tensors of a safetensors file whose bytes are in memory.
 *
 * The bytes stay the caller's: closing only closes the container, and views that were handed out
 * go on working.
 */
export class SafetensorsMemory extends Container {
  readonly #storage: MemoryStorage;

  /** @internal Made by {@link deserialize}. */
  constructor(byteLength: number, storage: MemoryStorage) {
    if (!(storage instanceof MemoryStorage)) {
      throw new TypeError('a SafetensorsMemory is made by deserialize');
    }
    super(undefined, byteLength, storage);
    this.#storage = storage;
  }

  /** Only that the container is open: what becomes of the bytes is up to the caller. */
  override check(): void {
    this.#storage.assertOpen();
  }
}

/**
 * Reads a safetensors file that is in memory. Tensors are views over `bytes`, which nothing is
 * copied from but the header.
 *
 * @throws {SafetensorsError} for everything the format refuses
 * @throws {TypeError} for anything but a Uint8Array (a Buffer is one)
 */
export function deserialize(bytes: Uint8Array, options?: ParseOptions): SafetensorsMemory {
  // Not instanceof: arrays of other realms (vm contexts) are as good.
  if (!types.isUint8Array(bytes)) {
    throw new TypeError(`bytes: expected a Uint8Array, found ${inspect(bytes, { depth: 0 })}`);
  }
  const { duplicates, maxHeaderBytes } = parseOptions(options);
  const { byteLength } = bytes;
  const preamble = Buffer.from(bytes.subarray(0, PREAMBLE_BYTES));
  const length = headerLength(preamble, byteLength, { maxHeaderBytes });
  const end = new HeaderEnd(length);
  for (let at = end.nextPiece; at !== undefined; at = end.nextPiece) {
    end.look(bytes.subarray(at, at + BLANK_PIECE_BYTES));
  }
  // A copy of our own: what was checked cannot change afterwards, not even in shared memory.
  const header = allocateHeader(end.value - LENGTH_BYTES);
  header.set(bytes.subarray(LENGTH_BYTES, end.value));
  const table = parseHeader(header, {
    dataLength: byteLength - LENGTH_BYTES - length,
    duplicates,
  });
  return new SafetensorsMemory(byteLength, new MemoryStorage(table, bytes, LENGTH_BYTES + length));
}

class MemoryStorage extends BufferStorage {
  constructor(table: HeaderTable, bytes: Uint8Array, dataStart: number) {
    super(table, bytes.byteOffset + dataStart, undefined, bytes.buffer);
  }

  override get backend(): Backend {
    return 'memory';
  }

  override hold(): Disposable {
    this.assertOpen();
    return NO_HOLD;
  }

  override noteCopy(): void {
    // Like the caller's bytes, copies outlive the container.
  }

  override holdCopy(): Disposable {
    return NO_HOLD;
  }

  protected override release(): void {
    // The bytes are the caller's.
  }
}

/** Views that are in use keep the memory. */
const NO_HOLD: Disposable = { [Symbol.dispose]: () => {} };
