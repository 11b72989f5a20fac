import { checkedUrl } from '../arguments.ts';
import { SafetensorsError } from '../errors.ts';
import { quoteName } from '../escape.ts';
import { allocateHeader, LENGTH_BYTES } from '../header/bytes.ts';
import { parseWeightMap } from '../model/weight-map.ts';
import { MOST_HEADERS } from '../open-options.ts';
import { type RemoteOptions, remoteOptions } from './options.ts';
import { type RemoteHeader, type RemoteTensor, readRemoteHeader } from './remote-header.ts';
import { readWhole, shownUrl } from './request.ts';

/** Headers that are read at once. */
const LANES = 8;

/** The headers of a model's files on a server, by its index. No data was read. */
export interface RemoteModel {
  /** That of the index. */
  readonly url: string;
  /** Bytes of all files. */
  readonly byteLength: number;
  /** Of a key that several files have, the value of the first. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The files by their names, sorted. */
  readonly shards: ReadonlyMap<string, RemoteHeader>;
  /** Tensors by their names, in the order of the index, each with the name of its file. */
  readonly tensors: ReadonlyMap<string, RemoteTensor & { readonly shard: string }>;
}

/**
 * Reads the index of a sharded model on a server, then the headers of all its files. The index is a list of
 * what is allowed, as for `openModel`: tensors that it does not name are left out.
 *
 * @param url That of a `model.safetensors.index.json`; the files lie beside it.
 * @returns `undefined` where the server has no index (status 404)
 * @throws {SafetensorsError} as {@link readRemoteHeader}; HEADER_UTF8, HEADER_JSON, HEADER_TOO_LARGE,
 *   DUPLICATE_KEY and SHARD_PATH for the index; INDEX_MISMATCH
 */
export async function readRemoteModel(
  url: string | URL,
  options: RemoteOptions = {},
): Promise<RemoteModel | undefined> {
  const { parse, request } = remoteOptions(options);
  const asked = checkedUrl(url, 'url');
  const path = shownUrl(asked);
  const { maxHeaderBytes } = parse;
  const tooLong = () => {
    const message = `the index has more than maxHeaderBytes, ${maxHeaderBytes}`;
    return new SafetensorsError('HEADER_TOO_LARGE', message, { path });
  };
  const text = await readWhole(asked, request, { most: maxHeaderBytes, tooLong });
  if (text === undefined) return undefined;
  const bytes = allocateHeader(text.length);
  text.copy(bytes);
  const map = parseWeightMap(bytes, path);
  const headers = await readAll(map.files, asked, options, maxHeaderBytes);
  const tensors = new Map<string, RemoteTensor & { shard: string }>();
  for (let entry = 0; entry < map.count; entry++) {
    const name = map.bytes.toString('utf8', map.nameStarts[entry], map.nameEnds[entry]);
    const shard = map.files[map.shards[entry]];
    if (tensors.has(name) && parse.duplicates === 'reject') {
      throw new SafetensorsError('DUPLICATE_KEY', `${quoteName(name)} twice in the index`, {
        path,
      });
    }
    const header = headers.get(shard);
    if (!header?.has(name)) {
      const message = `the index has ${quoteName(name)} in ${quoteName(shard)}, which does not have it`;
      throw new SafetensorsError('INDEX_MISMATCH', message, { path, tensor: name });
    }
    tensors.set(name, { ...header.info(name), shard });
  }
  return { url: asked.href, ...totals(headers), shards: headers, tensors };
}

function totals(headers: ReadonlyMap<string, RemoteHeader>) {
  const metadata: Record<string, string> = Object.create(null);
  let byteLength = 0;
  for (const header of headers.values()) {
    byteLength += header.byteLength;
    for (const [key, value] of Object.entries(header.metadata)) metadata[key] ??= value;
  }
  return { byteLength, metadata: Object.freeze(metadata) };
}

/**
 * The headers of files beside `index`; the first failure ends all.
 * @throws {SafetensorsError} HEADER_TOO_LARGE for all together, as for each
 */
async function readAll(
  files: readonly string[],
  index: URL,
  { signal, ...options }: RemoteOptions,
  maxHeaderBytes: number,
): Promise<Map<string, RemoteHeader>> {
  const headers = new Map<string, RemoteHeader | undefined>(files.map((file) => [file, undefined]));
  const failure = new AbortController();
  const either = signal ? AbortSignal.any([signal, failure.signal]) : failure.signal;
  const left = files.values();
  let headerBytes = 0;
  const work = async () => {
    for (const file of left) {
      // A name is one segment of the path, whatever characters it has; signatures stay.
      const url = new URL(encodeURIComponent(file), index);
      url.search = index.search;
      const header = await readRemoteHeader(url, { ...options, signal: either });
      headerBytes += header.dataStart - LENGTH_BYTES;
      if (headerBytes > MOST_HEADERS * maxHeaderBytes) {
        const message = `the headers read so far have more than ${MOST_HEADERS} times maxHeaderBytes`;
        throw new SafetensorsError('HEADER_TOO_LARGE', message, { path: shownUrl(url) });
      }
      headers.set(file, header);
    }
  };
  try {
    await Promise.all(Array.from({ length: LANES }, work));
  } catch (error) {
    failure.abort(error);
    throw error;
  }
  return headers as Map<string, RemoteHeader>;
}
