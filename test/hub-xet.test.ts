import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { fromHub, type HubProgress } from '../src/hub/index.ts';
import { serialize } from '../src/index.ts';
import { startHub } from './support/fake-hub.ts';
import { startServer } from './support/server.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
let caches = 0;
const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const CHUNK_BYTES = 50_000;
const HASH = 'a'.repeat(64);
const data = Float32Array.from({ length: 60_000 }, (_, i) => i);
const MODEL = serialize({ a: { dtype: 'F32', shape: [data.length], data } });

/** Bytes as Xet stores them: in chunks, each after its version, lengths and scheme (0: not compressed). */
function xorbOf(bytes: Uint8Array): { xorb: Buffer; chunks: number } {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const piece = Buffer.from(bytes.subarray(at, at + CHUNK_BYTES));
    const head = Buffer.alloc(8);
    head.writeUIntLE(piece.length, 1, 3);
    head.writeUIntLE(piece.length, 5, 3);
    pieces.push(head, piece);
  }
  return { xorb: Buffer.concat(pieces), chunks: pieces.length / 2 };
}

it('a file that the hub keeps in Xet comes from its storage, whole', async () => {
  const { xorb, chunks } = xorbOf(MODEL);
  const storage = await startServer(({ url, headers }, response) => {
    const json = (body: object) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (url === '/auth') json({ accessToken: 'xet', casUrl: storage.url, exp: 2 ** 40 });
    else if (url?.startsWith('/v2/reconstructions/')) {
      const bytes = { start: 0, end: xorb.length - 1 };
      const range = { start: 0, end: chunks };
      json({
        offset_into_first_range: 0,
        terms: [{ hash: HASH, unpacked_length: MODEL.length, range }],
        xorbs: { [HASH]: [{ url: `${storage.url}/xorb`, ranges: [{ chunks: range, bytes }] }] },
      });
    } else if (url === '/xorb' && headers.range === `bytes=0-${xorb.length - 1}`) {
      const range = `bytes 0-${xorb.length - 1}/${xorb.length}`;
      response.writeHead(206, { 'content-range': range }).end(xorb);
    } else response.writeHead(404).end();
  });
  const { url: hubUrl } = await startHub({
    name: 'owner/name',
    revisions: { main: COMMIT },
    files: { 'model.safetensors': MODEL },
    resolve(_, response) {
      const info = `${storage.url}/v2/reconstructions/${HASH}`;
      response.writeHead(206, {
        'content-type': 'application/vnd.xet-fileinfo+json',
        'x-linked-size': MODEL.length,
        'x-xet-hash': HASH,
        etag: '"1"',
        link: `<${storage.url}/auth>; rel="xet-auth", <${info}>; rel="xet-reconstruction-info"`,
      });
      response.end('{}');
    },
  });
  const progress: HubProgress[] = [];
  using model = await fromHub('owner/name', {
    hubUrl,
    cacheDir: join(folder, `cache-${caches++}`),
    onProgress: (now) => progress.push(now),
  });
  expect(model.getTensor('a').data).toEqual(data);
  expect(storage.requests.map(({ url }) => url)).toContain('/xorb');
  expect(progress.length).toBeGreaterThan(1);
  expect(progress.at(-1)).toMatchObject({ bytes: MODEL.length, totalBytes: MODEL.length });
});

describe('requests are kept to HTTP/1.1', () => {
  interface Dispatcher {
    dispatch(options: { path: string; allowH2?: boolean }, handler: object): boolean;
  }
  const CURRENT = Symbol.for('undici.globalDispatcher.2');
  const EARLIER = Symbol.for('undici.globalDispatcher.1');
  const globals = globalThis as unknown as Record<symbol, Dispatcher | undefined>;
  const { versions } = process;
  const before = globals[CURRENT];

  afterEach(() => {
    Object.defineProperty(process, 'versions', { value: versions });
    globals[CURRENT] = before;
  });

  /** What the dispatcher of the program is asked for while a runtime of these versions downloads a model. */
  async function askedIn(versions: object): Promise<{ path: string; allowH2?: boolean }[]> {
    const files = { 'model.safetensors': MODEL };
    const hub = await startHub({ name: 'owner/name', revisions: { main: COMMIT }, files });
    await fetch('data:,');
    const real = globals[CURRENT] ?? globals[EARLIER];
    const asked: { path: string; allowH2?: boolean }[] = [];
    globals[CURRENT] = {
      dispatch(options, handler) {
        asked.push(options);
        return real?.dispatch(options, handler) ?? false;
      },
    };
    Object.defineProperty(process, 'versions', { value: versions });
    const cacheDir = join(folder, `cache-${caches++}`);
    using model = await fromHub('owner/name', { hubUrl: hub.url, cacheDir });
    expect(model.getTensor('a').data).toEqual(data);
    expect(hub.requests.length).toBeGreaterThan(3);
    return asked;
  }

  it('where undici would speak HTTP/2, by the dispatcher that the program has', async () => {
    const asked = await askedIn({ ...versions, undici: '8.2.0' });
    expect(asked.length).toBeGreaterThan(3);
    for (const { path, allowH2 } of asked) expect(allowH2, path).toBe(false);
  });

  it.each([{ undici: '7.24.4' }, { undici: '8.2.0', bun: '1.4.2' }, { undici: undefined }])(
    'not where there is nothing to keep from it: %j',
    async (some) => {
      const asked = await askedIn({ ...versions, ...some });
      for (const { path, allowH2 } of asked) expect(allowH2, path).toBe(undefined);
    },
  );
});
