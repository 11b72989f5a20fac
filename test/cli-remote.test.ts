import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { saveModel, serialize } from '../src/index.ts';
import { readRemoteModel } from '../src/remote/index.ts';
import { runCli } from './support/cli.ts';
import { thrownBy } from './support/errors.ts';
import { type Handler, serveRange, startServer } from './support/server.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const F32 = (length: number) =>
  ({ dtype: 'F32', shape: [length], data: new Float32Array(length) }) as const;
const tensors = { 'a.weight': F32(8), 'b.weight': F32(8), 'b.bias': F32(2), 'c.weight': F32(8) };

/** A repository's files, whole or by ranges, below a path. */
function repository(files: Record<string, Uint8Array | string>, below = '/'): Handler {
  return (request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '', 'http://x').pathname);
    const file = path.startsWith(below) ? files[path.slice(below.length)] : undefined;
    if (file === undefined) response.writeHead(404).end('Entry not found');
    else if (request.headers.range) serveRange(Buffer.from(file))(request, response);
    else response.end(file);
  };
}

async function shardedFiles(): Promise<Record<string, Uint8Array>> {
  const path = join(folder, 'sharded');
  const { files, index } = await saveModel(tensors, path, {
    maxShardSize: 40,
    metadata: { format: 'pt' },
  });
  const names = [...files, index ?? ''].map((file) => file.split('/').at(-1) ?? '');
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(path, name))]));
}

const INDEX = 'model.safetensors.index.json';

describe('safetensors inspect', () => {
  it('of https://…: what it prints of the file itself, but that it is mapped', async () => {
    const file = serialize(tensors, { metadata: { format: 'pt' } });
    const { url } = await startServer(repository({ 'm.safetensors': file }));
    const path = join(folder, 'm.safetensors');
    writeFileSync(path, file);
    const remote = `${url}/m.safetensors`;
    for (const args of [[], ['--tree'], ['--json'], ['--filter', '*.bias']]) {
      const here = await runCli(['inspect', path, ...args]);
      const there = await runCli(['inspect', remote, ...args]);
      expect(there.stderr).toBe('');
      expect(there.code).toBe(0);
      const local = here.stdout.replace('  "backend": "mmap",\n', '');
      expect(local === here.stdout).toBe(!args.includes('--json'));
      expect(there.stdout.replaceAll(remote, path)).toBe(local);
    }
  });

  it('of hf://owner/name: all shards of a model', async () => {
    const files = await shardedFiles();
    const { url, requests } = await startServer(repository(files, '/owner/name/resolve/main/'));
    const env = { HF_ENDPOINT: url, HF_TOKEN: 'secret' };
    const local = await runCli(['inspect', join(folder, 'sharded')]);
    const { code, stdout, stderr } = await runCli(['inspect', 'hf://owner/name'], env);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout.split('\n').slice(1)).toEqual(local.stdout.split('\n').slice(1));
    expect(Object.keys(files).length).toBeGreaterThan(2);
    expect(requests.length).toBe(Object.keys(files).length);
    expect(new Set(requests.map(({ headers }) => headers.authorization))).toEqual(
      new Set(['Bearer secret']),
    );
  });

  it('of a repository with one file, at a revision, or of one of its files', async () => {
    const file = serialize(tensors);
    const files = { 'model.safetensors': file, 'sub/x y.safetensors': file };
    const old = await startServer(repository(files, '/gpt2/resolve/refs/pr/1/'));
    const env = { HF_ENDPOINT: `${old.url}/` };
    for (const place of ['hf://gpt2@refs%2Fpr%2F1', 'hf://gpt2@refs%2Fpr%2F1/model.safetensors']) {
      expect((await runCli(['inspect', place], env)).stdout).toContain('4 tensors');
    }
    expect(old.requests.map(({ url }) => url)).toContain(
      '/gpt2/resolve/refs%2Fpr%2F1/model.safetensors',
    );
    const main = await startServer(repository(files, '/a/gpt2/resolve/v1/'));
    const own = { HF_ENDPOINT: main.url };
    for (const place of ['hf://a/gpt2@v1', 'hf://a/gpt2@v1/sub/x y.safetensors']) {
      const { code, stdout, stderr } = await runCli(['inspect', place], own);
      expect(stderr).toBe('');
      expect(code).toBe(0);
      expect(stdout).toContain('4 tensors');
    }
  });

  it.each(['hf://', 'hf://a/b/c', 'hf://a/b@c@d'])('refuses %s', async (place) => {
    const { code, stderr } = await runCli(['inspect', place]);
    expect(code).toBe(1);
    expect(stderr).toContain('expected hf://owner/name');
  });

  it('says what is wrong with a server', async () => {
    const { url } = await startServer(repository({}));
    const gone = await runCli(['inspect', `${url}/m.safetensors`]);
    expect(gone.code).toBe(1);
    expect(gone.stderr).toBe(
      `error: ERR_SAFETENSORS_REMOTE_RESPONSE ${url}/m.safetensors: expected status 206, a range; found 404\n`,
    );
    const index = await runCli(['inspect', `${url}/${INDEX}`]);
    expect(index.stderr).toContain('no such index');
    const dead = await runCli(['inspect', 'http://127.0.0.1:1/m.safetensors']);
    expect([dead.code, dead.stderr]).toEqual([
      1,
      expect.stringMatching(/^error: .*127\.0\.0\.1:1/),
    ]);
  });
});

describe('readRemoteModel', () => {
  it('reads the headers of all files, and takes what the index names', async () => {
    const files = await shardedFiles();
    const index = JSON.parse(Buffer.from(files[INDEX]).toString());
    delete index.weight_map['b.bias'];
    const { url } = await startServer(repository({ ...files, [INDEX]: JSON.stringify(index) }));
    const model = await readRemoteModel(`${url}/${INDEX}`);
    expect([...(model?.tensors.keys() ?? [])]).toEqual(Object.keys(index.weight_map));
    expect(model?.tensors.get('c.weight')).toMatchObject({
      dtype: 'F32',
      shape: [8],
      byteLength: 32,
    });
    expect([...(model?.shards.keys() ?? [])]).toEqual(
      Object.keys(files)
        .filter((name) => name !== INDEX)
        .sort(),
    );
    expect(model?.metadata).toEqual({ format: 'pt' });
    expect(model?.byteLength).toBe(
      Object.entries(files).reduce(
        (sum, [name, { length }]) => sum + (name === INDEX ? 0 : length),
        0,
      ),
    );
  });

  it('has nothing to say where there is no index', async () => {
    const { url } = await startServer(repository({}));
    expect(await readRemoteModel(`${url}/${INDEX}`)).toBe(undefined);
    const compressing = await startServer((_, response) => {
      response.writeHead(404, { 'content-encoding': 'gzip' }).end(gzipSync('not found'));
    });
    expect(await readRemoteModel(`${compressing.url}/${INDEX}`)).toBe(undefined);
  });

  it.each([
    ['a tensor that its shard does not have', { d: 'm.safetensors' }, 'INDEX_MISMATCH'],
    ['a shard that leads elsewhere', { a: '../m.safetensors' }, 'SHARD_PATH'],
    ['a shard that is not there', { a: 'n.safetensors' }, 'REMOTE_RESPONSE'],
  ])('refuses %s', async (_, weight_map, code) => {
    const file = serialize({ a: F32(1) });
    const text = JSON.stringify({ weight_map });
    const { url } = await startServer(repository({ 'm.safetensors': file, [INDEX]: text }));
    const error = await thrownBy(() => readRemoteModel(`${url}/${INDEX}`));
    expect(error.code).toBe(`ERR_SAFETENSORS_${code}`);
  });

  it('refuses an index that names a tensor twice, and one over the limit', async () => {
    const file = serialize({ a: F32(1) });
    const text = '{"weight_map":{"a":"m.safetensors","a":"m.safetensors"}}';
    const { url } = await startServer(repository({ 'm.safetensors': file, [INDEX]: text }));
    const twice = await thrownBy(() => readRemoteModel(`${url}/${INDEX}`));
    expect(twice.code).toBe('ERR_SAFETENSORS_DUPLICATE_KEY');
    const model = await readRemoteModel(`${url}/${INDEX}`, { duplicates: 'last-wins' });
    expect(model?.tensors.size).toBe(1);
    const long = await thrownBy(() => readRemoteModel(`${url}/${INDEX}`, { maxHeaderBytes: 50 }));
    expect(long.code).toBe('ERR_SAFETENSORS_HEADER_TOO_LARGE');
    expect(long.path).toBe(`${url}/${INDEX}`);
  });
});
