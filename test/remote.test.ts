import { inspect } from 'node:util';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { deserialize, serialize } from '../src/index.ts';
import { readRemoteHeader, readRemoteModel } from '../src/remote/index.ts';
import { rawFile } from './support/build.ts';
import { thrownBy } from './support/errors.ts';
import { type Handler, rangeOf, serveRange, startServer } from './support/server.ts';

/** Asked for first. */
const FIRST_BYTES = 131_072;

const SMALL = serialize(
  {
    b: { dtype: 'BF16', shape: [3], data: new Uint16Array(3) },
    a: { dtype: 'F32', shape: [2, 2], data: new Float32Array(4) },
  },
  { metadata: { format: 'pt' } },
);

/** A file whose header is longer than what is asked for first. */
function longFile(tensors = 3000): Uint8Array {
  const named = Array.from({ length: tensors }, (_, i) => {
    const tensor = { dtype: 'U8', shape: [2], data: Uint8Array.of(i, i) } as const;
    return [`model.layers.${i}.weight`, tensor] as const;
  });
  return serialize(new Map(named));
}

/** A file of `headerBytes` before its one tensor. */
function paddedFile(headerBytes: number): Uint8Array {
  const header = '{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}';
  return rawFile(header.padEnd(headerBytes - 8), Uint8Array.of(1, 2, 3, 4));
}

describe('a header', () => {
  it('is read by one request', async () => {
    const { url, requests } = await startServer(serveRange(SMALL));
    const header = await readRemoteHeader(`${url}/model.safetensors`);
    expect(requests.length).toBe(1);
    const { range, 'accept-encoding': encoding } = requests[0].headers;
    expect({ range, encoding }).toEqual({ range: 'bytes=0-131071', encoding: 'identity' });
    const file = deserialize(SMALL);
    expect(header.url).toBe(`${url}/model.safetensors`);
    expect(header.byteLength).toBe(file.byteLength);
    expect(header.dataStart).toBe(8 + Number(Buffer.from(SMALL).readBigUInt64LE()));
    expect(header.metadata).toEqual(file.metadata);
    expect(header.keys()).toEqual(file.keys());
    expect(header.offsetKeys()).toEqual(file.offsetKeys());
    for (const [name, tensor] of header) {
      const { dtype, shape, size, byteLength, zeroCopy } = file.getTensor(name);
      const { dataOffsets } = file.info(name);
      expect(tensor).toEqual({ name, dtype, shape, size, byteLength, zeroCopy, dataOffsets });
      expect(header.has(name)).toBe(true);
      expect(header.info(name)).toEqual(tensor);
    }
    expect(header.has('c')).toBe(false);
    const error = await thrownBy(() => header.info('c'));
    expect(error.code).toBe('ERR_SAFETENSORS_TENSOR_NOT_FOUND');
  });

  it('that is long is read by two', async () => {
    const file = longFile();
    const { url, requests } = await startServer(serveRange(file, { etag: '"1"' }));
    const header = await readRemoteHeader(new URL(url));
    expect(header.keys()).toEqual(deserialize(file).keys());
    expect(requests.map(({ headers }) => headers.range)).toEqual([
      `bytes=0-${FIRST_BYTES - 1}`,
      `bytes=${FIRST_BYTES}-${header.dataStart - 1}`,
    ]);
  });

  it.each([
    [FIRST_BYTES - 4, 1],
    [FIRST_BYTES - 1, 1],
    [FIRST_BYTES, 1],
    [FIRST_BYTES + 1, 2],
    [FIRST_BYTES + 7, 2],
    [FIRST_BYTES + 8, 2],
  ])('whose data begins at %i is read by %i', async (dataStart, count) => {
    const { url, requests } = await startServer(serveRange(paddedFile(dataStart)));
    const header = await readRemoteHeader(url);
    expect(header.dataStart).toBe(dataStart);
    expect(header.byteLength).toBe(dataStart + 4);
    expect(header.info('a').dataOffsets).toEqual([0, 4]);
    expect(requests.length).toBe(count);
  });

  it.each([
    ['HEADER_TOO_SMALL', new Uint8Array(0)],
    ['HEADER_TOO_SMALL', new Uint8Array(7)],
    ['HEADER_LENGTH', SMALL.subarray(0, 20)],
    ['TRUNCATED', SMALL.subarray(0, -7)],
    ['TRAILING_BYTES', Buffer.concat([SMALL, new Uint8Array(7)])],
    ['NOT_SAFETENSORS', Buffer.from('<!doctype html><title>Sign in</title>')],
    ['HEADER_JSON', rawFile('{"a":1}')],
  ])('has every check of a file: %s', async (code, file) => {
    const { url } = await startServer(serveRange(file));
    const error = await thrownBy(() => readRemoteHeader(`${url}/model?signature=secret`));
    expect(error.code).toBe(`ERR_SAFETENSORS_${code}`);
    expect(error.path).toBe(`${url}/model`);
    expect(error.message).not.toContain('secret');
  });

  it('over the limit is refused before it is asked for', async () => {
    const { url, requests } = await startServer(serveRange(longFile()));
    const error = await thrownBy(() => readRemoteHeader(url, { maxHeaderBytes: 150_000 }));
    expect(error.code).toBe('ERR_SAFETENSORS_HEADER_TOO_LARGE');
    expect(requests.length).toBe(1);
  });
});

/** An answer of status 206 that says one thing and is another. */
function lying(contentRange: string, body: Uint8Array, headers: object = {}): Handler {
  return (_, response) => {
    response.writeHead(206, { 'content-range': contentRange, ...headers });
    response.end(body);
  };
}

/** Goes on for as long as somebody reads. */
const endless: Handler = (_, response) => {
  response.writeHead(206, { 'content-range': `bytes 0-${SMALL.length - 1}/${SMALL.length}` });
  const write = () => {
    while (!response.destroyed && response.write(Buffer.alloc(65_536))) {}
  };
  response.on('drain', write);
  write();
};

const size = SMALL.length;
const BAD: Record<string, { answer: Handler; says: string }> = {
  'the whole file, status 200': {
    answer: (_, response) => response.end(SMALL),
    says: 'expected status 206, a range; found 200',
  },
  'not found': { answer: (_, response) => response.writeHead(404).end(), says: 'found 404' },
  forbidden: { answer: (_, response) => response.writeHead(403).end('no'), says: 'found 403' },
  'a range that is not there': {
    answer: (_, response) => response.writeHead(416, { 'content-range': 'bytes */9' }).end(),
    says: 'found 416',
  },
  'no Content-Range': {
    answer: (_, response) => response.writeHead(206).end(SMALL),
    says: 'found ""',
  },
  'a range from elsewhere': {
    answer: lying(`bytes 7-${size - 1}/${size}`, SMALL.subarray(7)),
    says: `found "bytes 7-${size - 1}/${size}"`,
  },
  'a range that is 7 bytes short': {
    answer: lying(`bytes 0-${size - 8}/${size}`, SMALL.subarray(0, -7)),
    says: `found "bytes 0-${size - 8}/${size}"`,
  },
  'a range beyond the file': {
    answer: lying(`bytes 0-${size + 6}/${size}`, Buffer.concat([SMALL, new Uint8Array(7)])),
    says: `found "bytes 0-${size + 6}/${size}"`,
  },
  'a range longer than asked for': {
    answer: lying(`bytes 0-${FIRST_BYTES}/999999`, new Uint8Array(FIRST_BYTES + 1)),
    says: 'or the last; found',
  },
  'a total that nobody knows': {
    answer: lying(`bytes 0-${size - 1}/*`, SMALL),
    says: `found "bytes 0-${size - 1}/*"`,
  },
  'a total over 2^53': {
    answer: lying(`bytes 0-${FIRST_BYTES - 1}/9999999999999999`, new Uint8Array(FIRST_BYTES)),
    says: 'found "bytes 0-131071/9999999999999999"',
  },
  'another unit': { answer: lying(`lines 0-${size - 1}/${size}`, SMALL), says: 'found "lines' },
  'a body that is 7 bytes short': {
    answer: lying(`bytes 0-${size - 1}/${size}`, SMALL.subarray(0, -7)),
    says: `expected ${size} bytes, found ${size - 7}`,
  },
  'a body that is 7 bytes long': {
    answer: lying(`bytes 0-${size - 1}/${size}`, Buffer.concat([SMALL, new Uint8Array(7)])),
    says: `expected at most ${size} bytes, found more`,
  },
  'a body that never ends': { answer: endless, says: `expected at most ${size} bytes, found more` },
  'a body that breaks off': {
    answer(_, response) {
      const range = `bytes 0-${size - 1}/${size}`;
      response.writeHead(206, { 'content-range': range, 'content-length': size });
      response.write(SMALL.subarray(0, 40), () => response.destroy());
    },
    says: 'the connection broke',
  },
  'a compressed body': {
    answer: lying(`bytes 0-${size - 1}/${size}`, gzipSync(SMALL), { 'content-encoding': 'gzip' }),
    says: 'expected the bytes as they are, found them in gzip',
  },
  'a list of parts': {
    answer: lying(`bytes 0-${size - 1}/${size}`, SMALL, {
      'content-type': 'multipart/byteranges; boundary=x',
    }),
    says: 'expected one range, found a list of parts',
  },
  'not found, compressed': {
    answer: (_, response) =>
      response.writeHead(404, { 'content-encoding': 'gzip' }).end(gzipSync('not found')),
    says: 'found 404',
  },
  'what is no HTTP': {
    answer: (_, { socket }) => void socket?.end('nonsense\r\n\r\n'),
    says: 'the connection broke',
  },
};

describe('a server is refused that answers', () => {
  it.each(Object.entries(BAD))('%s', async (_, { answer, says }) => {
    const { url, requests } = await startServer(answer);
    const error = await thrownBy(() => readRemoteHeader(`${url}/m.safetensors?token=x`));
    expect(error.code).toBe('ERR_SAFETENSORS_REMOTE_RESPONSE');
    expect(error.message).toContain(says);
    expect(error.path).toBe(`${url}/m.safetensors`);
    expect(requests.length).toBe(1);
  });

  it.each<[what: string, second: Handler, code: string]>([
    [
      'the beginning again',
      (_, response) =>
        serveRange(longFile())({ headers: { range: 'bytes=0-131071' } } as never, response),
      'REMOTE_RESPONSE',
    ],
    ['another version', serveRange(longFile(), { etag: '"2"' }), 'FILE_CHANGED'],
    [
      'one that was changed since',
      serveRange(longFile(), { 'last-modified': 'Thu, 01 Jan 2026 00:00:01 GMT' }),
      'FILE_CHANGED',
    ],
    ['a file of another size', serveRange(longFile(3001), { etag: '"1"' }), 'FILE_CHANGED'],
    ['nothing', (_, response) => response.writeHead(500).end(), 'REMOTE_RESPONSE'],
  ])('the second time %s', async (what, second, code) => {
    const modified = { 'last-modified': 'Thu, 01 Jan 2026 00:00:00 GMT' };
    const first = serveRange(longFile(), what.includes('since') ? modified : { etag: '"1"' });
    const { url, requests } = await startServer((request, response) =>
      (rangeOf(request)[0] === 0 ? first : second)(request, response),
    );
    const error = await thrownBy(() => readRemoteHeader(url));
    expect(error.code).toBe(`ERR_SAFETENSORS_${code}`);
    expect(requests.length).toBe(2);
  });

  it('nothing for too long, before or within the body', async () => {
    for (const stop of ['headers', 'body']) {
      const { url } = await startServer((_, response) => {
        if (stop === 'headers') return;
        response.writeHead(206, { 'content-range': `bytes 0-${size - 1}/${size}` });
        response.write(SMALL.subarray(0, 8));
      });
      const error = await thrownBy(() => readRemoteHeader(url, { timeoutMs: 200 }));
      expect(error.code).toBe('ERR_SAFETENSORS_REMOTE_RESPONSE');
      expect(error.message).toContain('no byte came for 200 ms');
    }
  });
});

describe('a slow server', () => {
  it('has time as long as something comes', async () => {
    const { url } = await startServer((_, response) => {
      response.writeHead(206, { 'content-range': `bytes 0-${size - 1}/${size}` });
      let at = 0;
      const timer = setInterval(() => {
        response.write(SMALL.subarray(at, at + 20));
        at += 20;
        if (at < size) return;
        clearInterval(timer);
        response.end();
      }, 50);
    });
    expect((await readRemoteHeader(url, { timeoutMs: 1000 })).size).toBe(2);
  });

  it('is given up by a signal, before and meanwhile', async () => {
    const { url, requests } = await startServer(() => {});
    const aborted = AbortSignal.abort(new Error('enough'));
    expect((await thrownBy(() => readRemoteHeader(url, { signal: aborted }))).message).toBe(
      'enough',
    );
    expect(requests.length).toBe(0);
    const controller = new AbortController();
    const reading = readRemoteHeader(url, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error('now')), 50);
    expect((await thrownBy(() => reading)).message).toBe('now');
  });
});

describe('redirects', () => {
  const to =
    (location: string): Handler =>
    (_, response) =>
      void response.writeHead(302, { location }).end();

  it('are followed, with headers for the own origin alone', async () => {
    const other = await startServer(serveRange(SMALL));
    const own = await startServer((request, response) =>
      to(request.url === '/a' ? '/b' : `${other.url}/c?signature=1`)(request, response),
    );
    const headers = { authorization: 'Bearer secret' };
    const header = await readRemoteHeader(`${own.url}/a`, { headers });
    expect(header.size).toBe(2);
    expect(own.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ['/a', 'Bearer secret'],
      ['/b', 'Bearer secret'],
    ]);
    expect(other.requests[0].headers.authorization).toBe(undefined);
    expect(other.requests[0].headers.range).toBe('bytes=0-131071');
  });

  it('that come back from another origin have no headers any more', async () => {
    const other = await startServer((_, response) => to(`${own.url}/chosen`)(_, response));
    const own = await startServer((request, response) =>
      (request.url === '/a' ? to(other.url) : serveRange(SMALL))(request, response),
    );
    const headers = { authorization: 'Bearer secret' };
    expect((await readRemoteHeader(`${own.url}/a`, { headers })).size).toBe(2);
    expect(own.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ['/a', 'Bearer secret'],
      ['/chosen', undefined],
    ]);
  });

  it.each(['user:secret@', 'user@', ':secret@'])('to a URL with %s are refused', async (user) => {
    const other = await startServer(serveRange(SMALL));
    const place = `${other.url.replace('//', `//${user}`)}/?token=secret`;
    const { url } = await startServer(to(place));
    const error = await thrownBy(() => readRemoteHeader(url));
    expect(error.code).toBe('ERR_SAFETENSORS_REMOTE_RESPONSE');
    expect(inspect(error)).not.toContain('secret');
    expect(other.requests.length).toBe(0);
  });

  it('to a port that fetch refuses show no signature', async () => {
    const { url } = await startServer(to('http://127.0.0.1:1/?token=secret'));
    const error = await thrownBy(() => readRemoteHeader(url));
    expect(inspect(error)).not.toContain('secret');
  });

  it.each([
    ['/again', 'more than 5 redirects'],
    ['file:///etc/passwd', 'a redirect from http: to file:'],
    ['data:text/plain,x', 'a redirect from http: to data:'],
    ['http://[', 'a redirect to what is no URL'],
  ])('to %s are refused', async (location, says) => {
    const { url } = await startServer(to(location));
    const error = await thrownBy(() => readRemoteHeader(url));
    expect(error.code).toBe('ERR_SAFETENSORS_REMOTE_RESPONSE');
    expect(error.message).toContain(says);
  });
});

describe('the headers of a model', () => {
  const limit = 3000;
  const names = (count: number) => Array.from({ length: count }, (_, i) => `${i}.safetensors`);

  async function read(count: number) {
    const map = Object.fromEntries(names(count).map((name, i) => [`t${i}`, name]));
    const server = await startServer((request, response) => {
      const [, shard] = /(\d+)\.safetensors$/.exec(request.url ?? '') ?? [];
      if (shard === undefined) response.end(JSON.stringify({ weight_map: map }));
      else {
        const header = `{"t${shard}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`;
        serveRange(rawFile(header.padEnd(limit)))(request, response);
      }
    });
    const options = { maxHeaderBytes: limit };
    const reading = readRemoteModel(`${server.url}/model.safetensors.index.json`, options);
    return { reading, requests: server.requests };
  }

  it('may have ten times the bytes of one, together', async () => {
    const { reading } = await read(10);
    expect((await reading)?.shards.size).toBe(10);
    const { reading: over, requests } = await read(60);
    const error = await thrownBy(() => over);
    expect(error.code).toBe('ERR_SAFETENSORS_HEADER_TOO_LARGE');
    expect(requests.length).toBeLessThan(60);
  });
});

describe('misuse', () => {
  it.each([
    ['model.safetensors', 'an absolute URL'],
    ['ftp://host/model.safetensors', 'expected http: or https:, found ftp:'],
    ['http://user:secret@host/', 'without a name or a password'],
    [new URL('https://:secret@host/'), 'without a name or a password'],
    [undefined, 'expected a URL, found undefined'],
    [7, 'expected a URL, found 7'],
    [{ href: 'x' }, 'expected a URL, found'],
  ])('%s', async (url, says) => {
    const error = await thrownBy(() => readRemoteHeader(url as string));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toContain(says);
    expect(error.message).not.toContain('secret');
  });

  it('headers that are none, and a range that is not the one of the request', async () => {
    const { url, requests } = await startServer(serveRange(SMALL));
    const headers = { authorization: 'Bearer secret\nx' };
    const error = await thrownBy(() => readRemoteHeader(url, { headers }));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(/^headers: expected/);
    expect(inspect(error)).not.toContain('secret');
    expect(requests.length).toBe(0);
    await readRemoteHeader(url, { headers: { Range: 'bytes=5-6' } });
    expect(requests[0].headers.range).toBe('bytes=0-131071');
  });

  it('options, and a port that nobody listens at', async () => {
    const url = 'http://127.0.0.1:1/';
    for (const options of [{ timeoutMs: '1' }, { signal: 1 }, { headers: [] }, { duplicates: 1 }]) {
      const error = await thrownBy(() => readRemoteHeader(url, options as object));
      expect(error).toBeInstanceOf(TypeError);
    }
    expect(await thrownBy(() => readRemoteHeader(url, { timeoutMs: 0 }))).toBeInstanceOf(
      RangeError,
    );
    const error = await thrownBy(() => readRemoteHeader(url));
    expect(error.code).toMatch(/ECONNREFUSED|UND_ERR|ERR_SAFETENSORS_REMOTE_RESPONSE/);
  });
});
