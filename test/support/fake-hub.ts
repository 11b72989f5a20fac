import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Handler, startServer, type TestServer } from './server.ts';

/** Files over it are large to the hub: their contents are told by SHA-256, not by Git. */
const LARGE_BYTES = 1000;

export interface HubRepository {
  readonly name: string;
  /** Of branches and tags. */
  readonly revisions: Record<string, string>;
  readonly files: Record<string, Uint8Array>;
  /** Needed, where it is given. */
  readonly token?: string;
  /** What the hub says of a file, for lies. */
  readonly describe?: (path: string, truth: object) => object;
  /** Answers requests for files in its place. */
  readonly resolve?: Handler;
  /** What it sends in place of a file. */
  readonly send?: (path: string, bytes: Uint8Array) => Uint8Array;
  /** Sends a file, once its head is. */
  readonly stream?: (path: string, bytes: Uint8Array, response: ServerResponse) => void;
}

export interface FakeHub extends TestServer {
  /** `METHOD /path` of the requests, without what is behind a `?`. */
  asked(): string[];
}

function digest(bytes: Uint8Array): string {
  if (bytes.length > LARGE_BYTES) return createHash('sha256').update(bytes).digest('hex');
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}

function description(path: string, bytes: Uint8Array): object {
  const size = bytes.length;
  if (size <= LARGE_BYTES) return { type: 'file', path, size, oid: digest(bytes) };
  const pointer = createHash('sha1').update(path).digest('hex');
  return {
    type: 'file',
    path,
    size,
    oid: pointer,
    lfs: { oid: digest(bytes), size, pointerSize: 130 },
  };
}

/** The part of the hub's API that models are downloaded by: its paths, and headers of its answers. */
export async function startHub(repository: HubRepository): Promise<FakeHub> {
  const { name, revisions, files, token, describe = (_, truth) => truth } = repository;
  const commits = new Set(Object.values(revisions));
  const commitOf = (revision: string) =>
    commits.has(revision) ? revision : revisions[decodeURIComponent(revision)];

  function info(revision: string, response: ServerResponse): void {
    const sha = commitOf(revision);
    const siblings = Object.keys(files).map((rfilename) => ({ rfilename }));
    if (sha === undefined) json(response, { error: 'Revision not found' }, 404, 'RevisionNotFound');
    else
      json(response, {
        _id: '1',
        id: name,
        modelId: name,
        sha,
        siblings,
        private: false,
        gated: false,
        tags: [],
        downloads: 0,
        likes: 0,
        lastModified: '2026-01-01T00:00:00.000Z',
      });
  }

  async function paths(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const text of request.setEncoding('utf8')) body += text;
    const wanted: string[] = request.headers['content-type']?.includes('json')
      ? JSON.parse(body).paths
      : new URLSearchParams(body).getAll('paths');
    const found = wanted.filter((path) => path in files);
    json(
      response,
      found.map((path) => describe(path, description(path, files[path]))),
    );
  }

  function resolve(
    request: IncomingMessage,
    response: ServerResponse,
    revision: string,
    path: string,
  ): void {
    const file = files[path];
    if (file === undefined) {
      json(response, { error: 'Entry not found' }, 404, 'EntryNotFound');
      return;
    }
    const bytes = repository.send?.(path, file) ?? file;
    const [, first = '0', last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const end = Math.min(last ? Number(last) + 1 : bytes.length, bytes.length);
    const headers = {
      etag: `"${digest(file)}"`,
      'x-repo-commit': commitOf(revision) ?? '',
      ...(file.length > LARGE_BYTES && {
        'x-linked-etag': `"${digest(file)}"`,
        'x-linked-size': file.length,
      }),
      'accept-ranges': 'bytes',
      'content-length': end - Number(first),
    };
    if (request.headers.range) {
      const range = `bytes ${first}-${end - 1}/${bytes.length}`;
      response.writeHead(206, { ...headers, 'content-range': range });
    } else {
      response.writeHead(200, headers);
    }
    const part = bytes.subarray(Number(first), end);
    if (request.method === 'HEAD') response.end();
    else if (request.headers.range || !repository.stream) response.end(part);
    else repository.stream(path, part, response);
  }

  const server = await startServer((request, response) => {
    const path = decodeURI(new URL(request.url ?? '', 'http://hub').pathname);
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) {
      json(response, { error: 'Invalid credentials' }, 401);
      return;
    }
    const [, what, rest] = new RegExp(`^(/api/models/${name}|/${name})/(.*)$`).exec(path) ?? [];
    const [kind, revision, ...segments] = (rest ?? '').split('/');
    if (what?.startsWith('/api') && kind === 'revision') info(revision, response);
    else if (what?.startsWith('/api') && kind === 'paths-info') paths(request, response);
    else if (what && kind === 'resolve' && repository.resolve)
      repository.resolve(request, response);
    else if (what && kind === 'resolve') resolve(request, response, revision, segments.join('/'));
    else json(response, { error: 'Repository not found' }, 404, 'RepoNotFound');
  });
  const asked = () =>
    server.requests.map(
      ({ method, url }) => `${method} ${new URL(url ?? '', 'http://hub').pathname}`,
    );
  return { ...server, asked };
}

function json(response: ServerResponse, body: object, status = 200, code?: string): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    ...(code && { 'x-error-code': code }),
  });
  response.end(JSON.stringify(body));
}
