import { checkedUrl } from '../arguments.ts';
import type { TensorInfo } from '../container.ts';
import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { allocateHeader, LENGTH_BYTES } from '../header/bytes.ts';
import { parseHeader } from '../header/parse.ts';
import { headerLength } from '../header/preamble.ts';
import { HeaderTable } from '../header/table.ts';
import { elementsIn } from '../layout.ts';
import { type RemoteOptions, remoteOptions } from './options.ts';
import { readRange, shownUrl } from './request.ts';

/**
 * Asked for at once: the header of nearly every published file, and its length before it. (A shard of
 * DeepSeek-V3, with 565 tensors, has one of 73 KB.)
 */
const FIRST_BYTES = 2 ** 17;

/** What a header says of one tensor. */
export interface RemoteTensor extends TensorInfo {
  readonly name: string;
  /** Number of elements. */
  readonly size: number;
  readonly byteLength: number;
  /** Whether its elements are aligned in the file, so that a mapping of it can be used in place. */
  readonly zeroCopy: boolean;
}

/** The header of a file on a server, every rule of the format checked. No data was read. */
export class RemoteHeader implements Iterable<[name: string, tensor: RemoteTensor]> {
  /** That of the caller, before any redirect, as `URL` writes it. */
  readonly url: string;
  /** Bytes of the file, header included. */
  readonly byteLength: number;
  /** Where the data begins in the file, in bytes. */
  readonly dataStart: number;
  readonly #table: HeaderTable;

  /** @internal Made by {@link readRemoteHeader}. */
  constructor(url: URL, byteLength: number, dataStart: number, table: HeaderTable) {
    if (!(table instanceof HeaderTable)) {
      throw new TypeError('a RemoteHeader is made by readRemoteHeader');
    }
    this.url = url.href;
    this.byteLength = byteLength;
    this.dataStart = dataStart;
    this.#table = table;
  }

  /** `__metadata__`: frozen, without a prototype; empty when the header has none. */
  get metadata(): Readonly<Record<string, string>> {
    return this.#table.metadata;
  }

  /** Number of tensors. */
  get size(): number {
    return this.#table.count;
  }

  /** Names in the header's order. */
  keys(): string[] {
    return Array.from({ length: this.size }, (_, entry) => this.#table.name(entry));
  }

  /** Names in the order of the data. */
  offsetKeys(): string[] {
    const table = this.#table;
    return Array.from({ length: this.size }, (_, rank) => table.name(table.atOffsetRank(rank)));
  }

  has(name: string): boolean {
    return this.#table.indexOf(name) >= 0;
  }

  /** @throws {SafetensorsError} TENSOR_NOT_FOUND */
  info(name: string): RemoteTensor {
    const entry = this.#table.indexOf(name);
    if (entry >= 0) return this.#tensor(entry);
    const message = `no tensor ${quoteName(name)} among ${this.size}`;
    const path = shownUrl(new URL(this.url));
    throw new SafetensorsError('TENSOR_NOT_FOUND', message, { path, tensor: name });
  }

  /** Every name with its tensor, in the header's order. */
  *[Symbol.iterator](): Generator<[name: string, tensor: RemoteTensor], void, undefined> {
    for (let entry = 0; entry < this.size; entry++) {
      const tensor = this.#tensor(entry);
      yield [tensor.name, tensor];
    }
  }

  #tensor(entry: number): RemoteTensor {
    const { name: dtype, bits, elementBytes } = this.#table.dtype(entry);
    const dataOffsets = this.#table.dataOffsets(entry);
    const [begin, end] = dataOffsets;
    return {
      name: this.#table.name(entry),
      dtype,
      shape: this.#table.shape(entry),
      dataOffsets,
      byteLength: end - begin,
      size: elementsIn(end - begin, bits),
      zeroCopy: (this.dataStart + begin) % elementBytes === 0,
    };
  }
}

/**
 * Reads the header of a file on a server, by ranges: one request, or two where the header is longer than 128 KiB;
 * redirects come on top.
 *
 * @param url http: or https:, as text or a URL
 * @throws {SafetensorsError} for everything the format refuses, as when a file is opened;
 *   REMOTE_RESPONSE when the server answers with anything but the range that it was asked for;
 *   FILE_CHANGED when the file is another at the second request
 * @throws the reason of the signal; failures of the network in Node's own shape, as ECONNREFUSED
 */
export async function readRemoteHeader(
  url: string | URL,
  options?: RemoteOptions,
): Promise<RemoteHeader> {
  const { parse, request: how } = remoteOptions(options);
  const asked = checkedUrl(url, 'url');
  const path = shownUrl(asked);
  const start = await readRange(asked, how, 0, FIRST_BYTES - 1);
  const { bytes, total } = start;
  const length = headerLength(bytes, total, { ...parse, path });
  const dataStart = LENGTH_BYTES + length;
  const header = allocateHeader(length);
  bytes.copy(header, 0, LENGTH_BYTES, dataStart);
  if (dataStart > bytes.length) {
    const rest = await readRange(asked, how, bytes.length, dataStart - 1);
    if (rest.total !== total || rest.tag !== start.tag) {
      throw new SafetensorsError('FILE_CHANGED', 'another file at the second request', { path });
    }
    rest.bytes.copy(header, bytes.length - LENGTH_BYTES);
  }
  const { duplicates } = parse;
  const table = parseHeader(header, { dataLength: total - dataStart, duplicates, path });
  return new RemoteHeader(asked, total, dataStart, table);
}
