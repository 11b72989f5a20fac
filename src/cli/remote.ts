import { INDEX_FILE, SINGLE_FILE } from '../model/shards.ts';
import {
  type RemoteHeader,
  type RemoteModel,
  type RemoteOptions,
  type RemoteTensor,
  readRemoteHeader,
  readRemoteModel,
} from '../remote/index.ts';
import { CommandError } from './command-error.ts';
import type { Entry, Listing } from './listing.ts';

const HUB = 'https://huggingface.co';

/** Whether what is to be inspected is on a server. */
export function isRemote(path: string): boolean {
  return /^(https?|hf):\/\//i.test(path);
}

/**
 * The tensors of a file or a model on a server, from headers alone: of `https://…`, a file or an index,
 * or of a repository of the Hugging Face hub, `hf://owner/name`, with `@revision` and a path if need be.
 * `HF_ENDPOINT` and `HF_TOKEN` are what they are for huggingface_hub; of its file with a token nothing is read.
 *
 * @throws what reading the headers throws
 */
export async function remoteListing(
  path: string,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
): Promise<Listing> {
  if (!/^hf:/i.test(path)) return listingAt(path, { signal });
  const { repository, file } = hubPlace(path, env.HF_ENDPOINT || HUB);
  const headers = env.HF_TOKEN ? { authorization: `Bearer ${env.HF_TOKEN}` } : {};
  const options = { headers, signal };
  if (file !== undefined) return listingAt(`${repository}${file}`, options);
  const model = await readRemoteModel(`${repository}${INDEX_FILE}`, options);
  return model
    ? ofModel(model)
    : ofFile(await readRemoteHeader(`${repository}${SINGLE_FILE}`, options));
}

async function listingAt(url: string, options: RemoteOptions): Promise<Listing> {
  if (!URL.canParse(url) || !new URL(url).pathname.endsWith('.json')) {
    return ofFile(await readRemoteHeader(url, options));
  }
  const model = await readRemoteModel(url, options);
  if (!model) throw new CommandError('the server has no such index (status 404)');
  return ofModel(model);
}

/** Where a repository's files are, and which one is meant. */
function hubPlace(path: string, endpoint: string): { repository: string; file?: string } {
  const [, place] = /^hf:\/\/(?:models\/)?(.*)$/i.exec(path) ?? [];
  const segments = (place ?? '').split('/').filter((segment) => segment !== '');
  const isFile = /\.(safetensors|json)$/.test(segments.at(-1) ?? '');
  // gpt2/model.safetensors: old repositories have no owner.
  const named = segments.slice(0, isFile && segments.length === 2 ? 1 : 2);
  const [last, revision = 'main', ...more] = (named.at(-1) ?? '').split('@');
  const name = [...named.slice(0, -1), last];
  const rest = segments.slice(named.length);
  if (!last || more.length > 0 || (rest.length > 0 && !isFile) || (isFile && rest.length === 0)) {
    throw new CommandError(
      'expected hf://owner/name, with @revision and the path of a file if need be',
    );
  }
  const resolved = [...name, 'resolve', decoded(revision)].map(encodeURIComponent).join('/');
  const repository = `${endpoint.replace(/\/$/, '')}/${resolved}/`;
  return isFile ? { repository, file: rest.map(encodeURIComponent).join('/') } : { repository };
}

/** `refs%2Fpr%2F1`, as the hub wants a revision with a slash, may be written so too. */
function decoded(revision: string): string {
  try {
    return decodeURIComponent(revision);
  } catch {
    return revision;
  }
}

function ofFile(header: RemoteHeader): Listing {
  const { url: path, byteLength, size, metadata } = header;
  const entries = header.offsetKeys().map((name, rank) => entryOf(header.info(name), rank));
  const shards = [{ path, byteLength }];
  return { container: { path, byteLength, size, metadata, shards }, entries };
}

function ofModel({ url: path, byteLength, metadata, shards, tensors }: RemoteModel): Listing {
  const entries: Entry[] = [];
  for (const [shard, header] of shards) {
    for (const name of header.offsetKeys()) {
      const tensor = tensors.get(name);
      if (tensor?.shard === shard) entries.push({ ...entryOf(tensor, entries.length), shard });
    }
  }
  const files = Array.from(shards.values(), ({ url, byteLength }) => ({ path: url, byteLength }));
  const container = { path, byteLength, size: tensors.size, metadata, shards: files };
  return { container, entries };
}

/** The facts in the order of a file that is opened: JSON shows them so. */
function entryOf(tensor: RemoteTensor, rank: number): Entry {
  const { name, dtype, shape, size, byteLength, dataOffsets, zeroCopy } = tensor;
  return { name, dtype, shape, size, byteLength, dataOffsets, zeroCopy, rank };
}
