import { createHash, randomUUID } from 'node:crypto';
import {
  lutimesSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fromHub } from '../src/hub/index.ts';
import { serialize } from '../src/index.ts';
import { thrownBy } from './support/errors.ts';
import { type FakeHub, type HubRepository, startHub } from './support/fake-hub.ts';
import { type Handler, startServer } from './support/server.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const COMMIT = '0123456789abcdef0123456789abcdef01234567';
let caches = 0;
const newCache = () => join(folder, `cache-${caches++}`);

const MODEL = serialize({ a: { dtype: 'F32', shape: [600], data: new Float32Array(600) } });

function start(
  files: Record<string, Uint8Array>,
  more: Partial<HubRepository> = {},
): Promise<FakeHub> {
  return startHub({ name: 'owner/name', revisions: { main: COMMIT }, files, ...more });
}

/** The part of a file that is asked for: as much as `@huggingface/hub` needs. */
const cloudfront: Handler = ({ headers }, response) => {
  const probe = headers.range !== undefined;
  const end = probe ? 1 : MODEL.length;
  response.writeHead(probe ? 206 : 200, {
    etag: '"1"',
    'x-cache': 'Hit from cloudfront',
    ...(probe && { 'content-range': `bytes 0-0/${MODEL.length}` }),
  });
  response.end(MODEL.subarray(0, end));
};

describe('the token is for the hub alone:', () => {
  const accessToken = 'hf_secret';

  it.each(['hf_secret', ' hf_secret\n'])('not for where files are (%j)', async (given) => {
    const other = await startServer(cloudfront);
    const { url: hubUrl, requests } = await start(
      { 'model.safetensors': MODEL },
      {
        token: accessToken,
        resolve: (_, response) => void response.writeHead(302, { location: other.url }).end(),
      },
    );
    const options = { hubUrl, cacheDir: newCache(), accessToken: given };
    using model = await fromHub('owner/name', options);
    expect(model.size).toBe(1);
    expect(requests.every(({ headers }) => headers.authorization === 'Bearer hf_secret')).toBe(
      true,
    );
    expect(other.requests.length).toBeGreaterThan(1);
    expect(other.requests.map(({ headers }) => headers.authorization)).toEqual(
      other.requests.map(() => undefined),
    );
  });

  it.each([true, false])('nor for who gives tokens of Xet (of the hub: %s)', async (isHub) => {
    const auth: Handler = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const exp = 2 ** 40;
      response.end(JSON.stringify({ accessToken: `xet-${isHub}`, casUrl: other.url, exp }));
    };
    const other = await startServer((request, response) => {
      if (request.url === '/auth') auth(request, response);
      else response.writeHead(403).end();
    });
    const { url: hubUrl } = await start(
      { 'model.safetensors': MODEL },
      {
        token: accessToken,
        resolve(request, response) {
          if (request.url?.endsWith('/auth')) return auth(request, response);
          const where = isHub ? `http://${request.headers.host}/owner/name/resolve` : other.url;
          response.writeHead(206, {
            'content-type': 'application/vnd.xet-fileinfo+json',
            'x-linked-size': MODEL.length,
            'x-xet-hash': 'a'.repeat(64),
            etag: '"1"',
            link: `<${where}/auth>; rel="xet-auth", <${other.url}/v1/reconstructions/a>; rel="xet-reconstruction-info"`,
          });
          response.end('{}');
        },
      },
    );
    await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir: newCache(), accessToken }));
    const seen = other.requests.map(({ url, headers }) => [url, headers.authorization]);
    const last = ['/v2/reconstructions/a', `Bearer xet-${isHub}`];
    expect(seen).toEqual(isHub ? [last] : [['/auth', undefined], last]);
  });

  it('and in no message', async () => {
    for (const token of ['hf_a\nb', '', 7]) {
      const options = { accessToken: token as string };
      const error = await thrownBy(() => fromHub('owner/name', options));
      expect(error).toBeInstanceOf(TypeError);
      expect(error.message).toMatch(/^accessToken: expected/);
      expect(error.message).not.toContain('hf_a');
    }
  });
});

describe('a download that fails after the first answer', () => {
  const where = (answer: Handler): Handler => {
    return (request, response) =>
      (request.headers.range === undefined ? answer : cloudfront)(request, response);
  };

  it.each<[string, Handler]>([
    ['is told', (_, response) => void response.writeHead(403).end('no')],
    ['is told when the connection breaks', (_, response) => void response.destroy()],
  ])('%s, without what opens the file', async (_, answer) => {
    const other = await startServer(where(answer));
    const location = `${other.url}/file?signature=secret`;
    const { url: hubUrl } = await start(
      { 'model.safetensors': MODEL },
      { resolve: (_, response) => void response.writeHead(302, { location }).end() },
    );
    const error = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir: newCache() }));
    expect(error.code).toBe('ERR_SAFETENSORS_REMOTE_RESPONSE');
    expect(error.path).toBe('model.safetensors');
    expect(error.message).not.toContain('secret');
  });

  it('is the reason of the signal that ended it', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const { url: hubUrl } = await start(
      { 'model.safetensors': MODEL },
      { resolve: where(() => controller.abort(reason)) },
    );
    const options = { hubUrl, cacheDir: newCache(), signal: controller.signal };
    expect(await thrownBy(() => fromHub('owner/name', options))).toBe(reason);
  });
});

it('a file that never ends is read as far as it is to be long', async () => {
  // As much as a disk can take.
  const most = 2 ** 26;
  let sent = 0;
  const { url: hubUrl } = await start(
    { 'model.safetensors': MODEL },
    {
      resolve(request, response) {
        if (request.headers.range) return cloudfront(request, response);
        response.writeHead(200);
        const piece = Buffer.alloc(65_536);
        const write = () => {
          while (!response.destroyed && sent < most) {
            sent += piece.length;
            if (!response.write(piece)) return;
          }
          response.end();
        };
        response.on('drain', write);
        write();
      },
    },
  );
  const cacheDir = newCache();
  const error = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir }));
  expect(error.code).toBe('ERR_SAFETENSORS_REMOTE_RESPONSE');
  expect(error.message).toContain(`expected ${MODEL.length} bytes, found more`);
  expect(sent).toBeLessThan(most);
  expect(readdirSync(join(cacheDir, 'models--owner--name/blobs'))).toEqual([]);
});

it.each([204, 205])(
  'a file that is answered by status %i is refused, not waited for',
  async (status) => {
    let asked = 0;
    const { url: hubUrl } = await start(
      { 'model.safetensors': MODEL },
      {
        resolve(_, response) {
          // First the library asks where it is, and how long.
          const range = { 'content-range': `bytes 0-0/${MODEL.length}`, etag: '"1"' };
          if (asked++ === 0) response.writeHead(206, range).end('x');
          else response.writeHead(status).end();
        },
      },
    );
    const error = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir: newCache() }));
    expect(asked).toBe(2);
    expect(error.code).toBe('ERR_SAFETENSORS_REMOTE_RESPONSE');
    expect(error.message).toContain(`expected contents, found status ${status}`);
  },
);

it('what killed processes have left is removed, what others are writing is not', async () => {
  const { url: hubUrl } = await start({ 'model.safetensors': MODEL });
  const cacheDir = newCache();
  const blobs = join(cacheDir, 'models--owner--name/blobs');
  mkdirSync(blobs, { recursive: true });
  const digest = createHash('sha256').update(MODEL).digest('hex');
  const [stale, fresh, other] = [digest, digest, 'f'.repeat(64)].map(
    (of) => `${of}.${randomUUID()}.incomplete`,
  );
  const ofPython = [`${digest}.incomplete`, `${digest}.0123abcd.incomplete`];
  const hours = (count: number) => new Date(Date.now() - count * 3_600_000);
  for (const name of [stale, fresh, other, ...ofPython]) {
    writeFileSync(join(blobs, name), 'x');
    utimesSync(join(blobs, name), hours(2), hours(name === fresh ? 0.9 : 2));
  }
  const repository = dirname(blobs);
  const [oldNote, oldLink, newLink] = Array.from(
    { length: 3 },
    () => `unnamed.${randomUUID()}.incomplete`,
  );
  writeFileSync(join(repository, oldNote), 'x');
  for (const link of [oldLink, newLink]) symlinkSync('../nowhere', join(repository, link));
  for (const name of [oldNote, oldLink]) lutimesSync(join(repository, name), hours(2), hours(2));
  using model = await fromHub('owner/name', { hubUrl, cacheDir });
  expect(model.size).toBe(1);
  expect(readdirSync(blobs).sort()).toEqual([digest, fresh, other, ...ofPython].sort());
  const names = ['blobs', 'refs', 'snapshots', newLink];
  expect(readdirSync(repository).sort()).toEqual(names.sort());
});

describe('an index is refused before its shards are asked for:', () => {
  const INDEX = 'model.safetensors.index.json';
  const map = '"weight_map":{"a":"s.safetensors"}';
  const long = `{${map},"x":"${'y'.repeat(5000)}"}`;
  const shards = (asked: readonly string[]) =>
    asked.filter((line) => line.includes('s.safetensors'));

  it.each([
    ['HEADER_TOO_LARGE', long, { maxHeaderBytes: 5000 }],
    ['DUPLICATE_KEY', `{${map},${map}}`, {}],
    ['HEADER_JSON', `{${map}},`, {}],
    ['HEADER_JSON', '{"metadata":{}}', {}],
    ['HEADER_UTF8', Buffer.from(`{"x":"\xff",${map}}`, 'latin1'), {}],
  ])('%s', async (code, text, options) => {
    const files = { [INDEX]: Buffer.from(text), 's.safetensors': MODEL };
    const { url: hubUrl, asked } = await start(files);
    const all = { ...options, hubUrl, cacheDir: newCache() };
    const error = await thrownBy(() => fromHub('owner/name', all));
    expect(error.code).toBe(`ERR_SAFETENSORS_${code}`);
    expect(shards(asked())).toEqual([]);
    if (code === 'HEADER_TOO_LARGE') {
      expect(asked().filter((line) => line.includes('/resolve/'))).toEqual([]);
    }
  });

  it('one over the limit that the cache has', async () => {
    const { url: hubUrl, asked } = await start({
      [INDEX]: Buffer.from(long),
      's.safetensors': MODEL,
    });
    const options = { hubUrl, cacheDir: newCache() };
    (await fromHub('owner/name', options)).close();
    const before = asked().length;
    const error = await thrownBy(() => fromHub('owner/name', { ...options, maxHeaderBytes: 5000 }));
    expect(error.code).toBe('ERR_SAFETENSORS_HEADER_TOO_LARGE');
    expect(asked().slice(before)).toEqual(['GET /api/models/owner/name/revision/main']);
    expect(await thrownBy(() => fromHub('owner/name', { maxHeaderBytes: -1 }))).toBeInstanceOf(
      RangeError,
    );
  });
});
