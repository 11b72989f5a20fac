import { readFileSync } from 'node:fs';
import http from 'node:http';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.ts';
import { request, runServer, Server, writeModel } from './support/model-server.ts';

const folder = temporaryFolder();
const reference = JSON.parse(
  readFileSync(
    fileURLToPath(new URL('../../examples/encoder/reference.json', import.meta.url)),
    'utf8',
  ),
);
/** The texts of the reference, without what fills the second up. */
const texts: number[][] = reference.input_ids.map((ids: number[], row: number) =>
  ids.filter((_, column) => reference.attention_mask[row][column] === 1),
);

let model: string;
let server: Server;

beforeAll(async () => {
  model = await writeModel(`${folder}/tiny`);
  server = await Server.ready(model);
});

afterAll(async () => {
  await server?.stop();
});

describe('POST /v1/embeddings', () => {
  it("answers in OpenAI's shape, and as numpy does", async () => {
    const { status, headers, body } = await server.embed(texts);
    expect(status).toBe(200);
    expect(body).toEqual({
      object: 'list',
      model: 'tested',
      data: [0, 1].map((index) => ({ object: 'embedding', index, embedding: expect.any(Array) })),
      usage: { prompt_tokens: 19, total_tokens: 19 },
    });
    expect(headers.get('x-model-version')).toBe(await server.version());
    const found = body.data.flatMap(({ embedding }) => embedding);
    const wanted: number[] = reference.F32.sentence_embedding;
    expect(found.length).toBe(wanted.length);
    for (const [place, value] of wanted.entries()) expect(found[place]).toBeCloseTo(value, 5);
  });

  it('takes a text, texts, tokens, and lists of tokens', async () => {
    const [one, list, tokens] = await Promise.all([
      server.embed('The memory of a map.'),
      server.embed(['The memory of a map.', 'Ünder the tree']),
      server.embed(texts[0]),
    ]);
    expect(one.body.data.length).toBe(1);
    expect(list.body.data.length).toBe(2);
    expect(closeness(list.body.data[0].embedding, one.body.data[0].embedding)).toBeCloseTo(1, 5);
    expect(closeness(list.body.data[1].embedding, one.body.data[0].embedding)).toBeLessThan(0.99);
    expect(tokens.body.usage.total_tokens).toBe(texts[0].length);
  });

  it('gives base64 of the same numbers', async () => {
    const input = texts[0];
    const plain = await server.embed(input);
    const encoded = await server.post('/v1/embeddings', {
      model: 'tested',
      input,
      encoding_format: 'base64',
    });
    const [{ embedding }] = encoded.body.data as { embedding: string }[];
    const { buffer, byteOffset, length } = Buffer.from(embedding, 'base64');
    const numbers = new Float32Array(buffer.slice(byteOffset, byteOffset + length));
    expect(Array.from(numbers)).toEqual(plain.body.data[0].embedding);
  });

  it('takes as many texts as the limit allows, longer and shorter ones', async () => {
    const many = Array.from({ length: 2048 }, (_, i) => texts[i % 2].slice(0, 1 + (i % 7)));
    const { status, body } = await server.embed(many);
    expect(status).toBe(200);
    expect(body.data.map(({ index }) => index)).toEqual(many.map((_, index) => index));
    for (const place of [0, 1, 1000, 2047]) {
      const alone = await server.embed(many[place]);
      const [{ embedding }] = alone.body.data;
      expect(closeness(embedding, body.data[place].embedding)).toBeCloseTo(1, 5);
    }
  });

  it('takes null for what is not set', async () => {
    const unset = { encoding_format: null, dimensions: null, user: null };
    const { status, body } = await server.post('/v1/embeddings', { ...good, ...unset });
    expect(status).toBe(200);
    expect(body.data).toEqual((await server.embed(good.input)).body.data);
  });

  const good = { model: 'tested', input: 'a text' };
  const bad: [what: string, body: unknown, status: number, param: string | null, code?: string][] =
    [
      ['no JSON', '{', 400, null],
      ['nothing', '', 400, null],
      ['a list', [], 400, 'body'],
      ['no input', { model: 'tested' }, 400, 'input'],
      ['no model', { input: 'a' }, 400, 'model'],
      ['a model that is a number', { ...good, model: 1 }, 400, 'model'],
      ['another model', { ...good, model: 'gpt' }, 404, 'model', 'model_not_found'],
      ['an encoding that is none', { ...good, encoding_format: 'hex' }, 400, 'encoding_format'],
      ['another width', { ...good, dimensions: 32 }, 400, 'dimensions'],
      ['no texts', { ...good, input: [] }, 400, 'input'],
      ['an empty text', { ...good, input: ['a', ''] }, 400, 'input'],
      ['a text without tokens', { ...good, input: [[]] }, 400, 'input'],
      ['texts and tokens', { ...good, input: ['a', 1] }, 400, 'input'],
      ['an object', { ...good, input: {} }, 400, 'input'],
      ['null', { ...good, input: null }, 400, 'input'],
      ['a token beyond the vocabulary', { ...good, input: [1024] }, 400, 'input'],
      ['a token below 0', { ...good, input: [-1] }, 400, 'input'],
      ['a token that is a fraction', { ...good, input: [1.5] }, 400, 'input'],
      [
        'too many tokens',
        { ...good, input: new Array(129).fill(1) },
        400,
        'input',
        'context_length_exceeded',
      ],
      [
        'a long text',
        { ...good, input: 'map '.repeat(200) },
        400,
        'input',
        'context_length_exceeded',
      ],
      ['a huge text', { ...good, input: 'a'.repeat(3e5) }, 400, 'input', 'request_too_large'],
      [
        'texts that are huge together',
        { ...good, input: new Array(3).fill('a'.repeat(1e5)) },
        400,
        'input',
        'request_too_large',
      ],
      [
        'too many texts',
        { ...good, input: new Array(2049).fill([1]) },
        400,
        'input',
        'request_too_large',
      ],
      [
        'too many tokens in all',
        { ...good, input: new Array(600).fill(new Array(120).fill(1)) },
        400,
        'input',
        'request_too_large',
      ],
      ['a body over the limit', { ...good, input: 'a'.repeat(3e6) }, 413, null],
    ];

  it.each(bad)('refuses %s', async (_what, body, status, param, code) => {
    const answer = await server.post('/v1/embeddings', body);
    expect(answer.status).toBe(status);
    expect(answer.body).toEqual(refusal(param, code));
  });

  it('refuses what is no JSON by its type, and other places', async () => {
    const text = await request(`${server.url}/v1/embeddings`, 'a text', 'text/plain');
    expect(text.status).toBe(415);
    expect(text.body).toEqual(refusal(null));
    const elsewhere = await server.get('/v1/completions');
    expect(elsewhere.status).toBe(404);
    expect(elsewhere.body).toEqual(refusal(null, 'unknown_url'));
  });

  it('tells those to come again who are too many', async () => {
    const longest = new Array(128).fill(7);
    await using busy = await Server.ready(model, '--workers', '1', '--max-queue', '2');
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => busy.embed(new Array(200).fill(longest))),
    );
    const refused = answers.filter(({ status }) => status !== 200);
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(8);
    for (const { status, headers, body } of refused) {
      expect(status).toBe(503);
      expect(headers.get('retry-after')).toBe('1');
      expect(body).toEqual(refusal(null, 'overloaded', 'server_error'));
    }
  });
});

describe('the server', () => {
  it('says what it serves, and what it has counted', async () => {
    expect((await server.get('/healthz')).body).toEqual({
      status: 'ok',
      model: 'tested',
      version: await server.version(),
    });
    const metrics = async () => {
      const { body } = await request(`${server.operator}/metrics`);
      const lines = (body as { text: string }).text.split('\n');
      return new Map(
        lines
          .filter((line) => line !== '' && !line.startsWith('#'))
          .map((line) => line.split(/ (?=[^ ]*$)/))
          .map(([name, value]) => [name, Number(value)]),
      );
    };
    const before = await metrics();
    await Promise.all(Array.from({ length: 4 }, () => server.embed(texts[0])));
    await server.embed([]);
    const after = await metrics();
    const rise = (name: string) => (after.get(name) ?? NaN) - (before.get(name) ?? 0);
    expect(rise('embeddings_requests_total{status="200"}')).toBe(4);
    expect(rise('embeddings_requests_total{status="400"}')).toBe(1);
    expect(rise('embeddings_request_seconds_count')).toBe(5);
    expect(rise('embeddings_tokens_total')).toBe(4 * texts[0].length);
    expect(after.get('embeddings_requests_under_way')).toBe(0);
    expect(after.get('workers')).toBe(2);
    expect(after.get('model_bytes')).toBeGreaterThan(8e5);
    expect(after.get('model_resident_bytes')).toBe(after.get('model_bytes'));
    expect(after.get('model_prefetch_bytes')).toBe(after.get('model_bytes'));
    expect(after.get('model_prefetch_total_bytes')).toBe(after.get('model_bytes'));
    expect(after.get('process_page_faults_total{kind="minor"}')).toBeGreaterThan(1000);
  });

  it('lets nobody ask the operator as another host than itself, or one that it was told', async () => {
    await using named = await Server.ready(model, '--operator-host', 'metrics.example');
    const { port } = new URL(named.operator);
    const asked = (host: string, path = '/metrics', method = 'GET') =>
      new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
        const asking = http.request(
          named.operator + path,
          { method, headers: { host } },
          (answer) => {
            answer.setEncoding('utf8').once('data', (body) => {
              resolve({ status: answer.statusCode, body });
              answer.destroy();
            });
          },
        );
        asking.on('error', reject).end();
      });
    const own = ['127.0.0.1', 'localhost', 'LOCALHOST.', '[::1]', 'metrics.example'];
    for (const host of own.flatMap((name) => [name, `${name}:${port}`])) {
      expect({ host, ...(await asked(host)) }).toMatchObject({ host, status: 200 });
    }
    const others = ['evil.example', `evil.example:${port}`, 'localhost.evil.example', '10.0.0.1'];
    for (const host of others) {
      for (const [path, method] of [
        ['/metrics', 'GET'],
        ['/healthz', 'GET'],
        ['/model', 'POST'],
      ]) {
        const { status, body } = await asked(host, path, method);
        expect({ host, path, status }).toEqual({ host, path, status: 403 });
        expect(JSON.parse(body)).toEqual(refusal(null, 'host_not_allowed'));
      }
    }
  });

  it('takes an order of the operator as JSON alone, which a page of another site cannot send', async () => {
    const { status, body } = await request(`${server.operator}/model`, '{}', 'text/plain');
    expect(status).toBe(415);
    expect(body).toEqual(refusal(null));
  });

  it.each([
    [{ path: 5 }, 'path'],
    [{ path: null }, 'path'],
    [{ path: ['/models/a'] }, 'path'],
    [{ paht: '/models/a' }, 'body'],
    [[], 'body'],
  ])('takes no order for another: %j', async (order, param) => {
    const version = await server.version();
    const { status, body } = await request(`${server.operator}/model`, order);
    expect(status).toBe(400);
    expect(body).toEqual(refusal(param));
    expect(await server.version()).toBe(version);
  });

  it('says what is wrong with its arguments, or with its model', async () => {
    const usage = await runServer('--model', model, '--workers', 'many');
    expect(usage.code).toBe(2);
    expect(usage.stderr).toMatch(/^model-server: --workers is a whole number from 1 to 256/);
    const missing = await runServer('--model', `${folder}/missing`, '--operator-port', '0');
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/^model-server: it does not start: ENOENT/);
  });
});

function refusal(param: string | null, code: string | null = null, type = 'invalid_request_error') {
  return { error: { message: expect.stringMatching(/./), type, param, code } };
}

/** The cosine of the angle between embeddings, which have the length 1. */
function closeness(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return a.reduce((sum, value, place) => sum + value * b[place], 0);
}
