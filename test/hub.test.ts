import { execFile } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { fromHub, type HubProgress } from '../src/hub/index.ts';
import { openModel, saveModel, serialize, type TensorLike } from '../src/index.ts';
import { thrownBy } from './support/errors.ts';
import { type FakeHub, type HubRepository, startHub } from './support/fake-hub.ts';
import { python, withoutPython } from './support/python.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const OTHER = 'f'.repeat(40);
const INDEX = 'model.safetensors.index.json';
let caches = 0;
const newCache = () => join(folder, `cache-${caches++}`);

const floats = (length: number, first: number) =>
  ({
    dtype: 'F32',
    shape: [length],
    data: Float32Array.from({ length }, (_, i) => first + i),
  }) as const;
const TENSORS = { a: floats(300, 1), b: floats(300, 1000), c: floats(2, 7) };
const SINGLE = serialize(TENSORS, { metadata: { format: 'pt' } });
const CONFIG = Buffer.from('{"model_type":"test"}');

async function sharded(): Promise<Record<string, Uint8Array>> {
  const path = join(folder, 'sharded');
  await saveModel(TENSORS, path, { maxShardSize: 1300 });
  return Object.fromEntries(
    readdirSync(path).map((file) => [file, readFileSync(join(path, file))]),
  );
}

function start(
  files: Record<string, Uint8Array>,
  more: Partial<HubRepository> = {},
): Promise<FakeHub> {
  return startHub({ name: 'owner/name', revisions: { main: COMMIT }, files, ...more });
}

/** Every file and link of a cache: its text, or where it leads. Python's own notes are left out. */
function contentsOf(cache: string): Record<string, string> {
  const found = readdirSync(cache, { recursive: true, withFileTypes: true }).flatMap((entry) => {
    const path = join(entry.parentPath, entry.name);
    const name = relative(cache, path);
    if (entry.isDirectory() || /^\.locks|^CACHEDIR\.TAG$|\.no_exist/.test(name)) return [];
    const isLink = lstatSync(path).isSymbolicLink();
    return [[name, isLink ? `-> ${readlinkSync(path)}` : readFileSync(path, 'hex')] as const];
  });
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}

describe('fromHub', () => {
  it('downloads a model of one file, and then takes it from the cache', async () => {
    const { url: hubUrl, asked } = await start({ 'model.safetensors': SINGLE });
    const cacheDir = newCache();
    const progress: HubProgress[] = [];
    const onProgress = (now: HubProgress) => progress.push(now);
    using model = await fromHub('owner/name', { hubUrl, cacheDir, onProgress });
    expect(model.keys()).toEqual(['a', 'b', 'c']);
    expect(model.getTensor('c').data).toEqual(Float32Array.of(7, 8));
    expect(model.metadata).toEqual({ format: 'pt' });
    const repository = join(cacheDir, 'models--owner--name');
    expect(model.path).toBe(join(repository, 'snapshots', COMMIT, 'model.safetensors'));
    expect(readFileSync(join(repository, 'refs/main'), 'utf8')).toBe(COMMIT);
    expect(progress.at(-1)).toEqual({
      bytes: SINGLE.length,
      totalBytes: SINGLE.length,
      file: 'model.safetensors',
    });

    const before = asked().length;
    using again = await fromHub('owner/name', { hubUrl, cacheDir });
    expect(asked().slice(before)).toEqual(['GET /api/models/owner/name/revision/main']);
    expect(again.size).toBe(3);
    using atCommit = await fromHub('owner/name', {
      hubUrl,
      cacheDir,
      revision: COMMIT,
      onProgress,
    });
    expect(atCommit.path).toBe(model.path);
    expect(asked().length, 'a commit is not asked for').toBe(before + 1);
  });

  it('downloads an index and all its shards', async () => {
    const files = await sharded();
    const { url: hubUrl, asked } = await start(files);
    const cacheDir = newCache();
    const progress: HubProgress[] = [];
    using model = await fromHub('owner/name', {
      hubUrl: `${hubUrl}/`,
      cacheDir,
      onProgress: (now) => progress.push(now),
    });
    expect(model.shards.length).toBeGreaterThan(1);
    expect(model.size).toBe(3);
    for (const [name, { data }] of Object.entries(TENSORS)) {
      expect(model.getTensor(name).data).toEqual(data);
    }
    const names = new Set(progress.map(({ file }) => file));
    expect(names).toEqual(new Set(Object.keys(files)));
    const before = asked().length;
    using again = await fromHub('owner/name', { hubUrl, cacheDir, revision: COMMIT });
    expect(again.size).toBe(3);
    expect(asked().length).toBe(before);
  });

  it('has the files that are asked for, and opens the one that can be', async () => {
    const files = {
      'fp16/weights.safetensors': SINGLE,
      'config.json': CONFIG,
      'model.safetensors': SINGLE,
    };
    const { url: hubUrl, asked } = await start(files);
    const cacheDir = newCache();
    const wanted = ['fp16/weights.safetensors', 'config.json'];
    using model = await fromHub('owner/name', { hubUrl, cacheDir, files: wanted });
    const snapshot = join(cacheDir, 'models--owner--name/snapshots', COMMIT);
    expect(model.path).toBe(join(snapshot, wanted[0]));
    expect(readFileSync(join(snapshot, 'config.json'))).toEqual(CONFIG);
    expect(asked().filter((line) => line.includes('/model.safetensors'))).toEqual([]);
  });

  it('opens an index where there is a single file too, as openModel does', async () => {
    const other = serialize({ other: floats(1, 1) });
    const { url: hubUrl } = await start({ ...(await sharded()), 'model.safetensors': other });
    const cacheDir = newCache();
    const files = [INDEX, 'model.safetensors'];
    using model = await fromHub('owner/name', { hubUrl, cacheDir });
    expect(model.path).toMatch(/index\.json$/);
    using both = await fromHub('owner/name', { hubUrl, cacheDir, files });
    expect(both.path).toBe(model.path);
    using again = await fromHub('owner/name', { hubUrl, cacheDir });
    expect(again.path).toBe(model.path);
    using folder = await openModel(dirname(model.path));
    expect(folder.keys()).toEqual(model.keys());
    const single = { hubUrl, cacheDir, files: ['model.safetensors'] };
    using named = await fromHub('owner/name', single);
    expect(named.keys()).toEqual(['other']);
  });

  it('does not download contents twice, and notes each revision', async () => {
    const revisions = { main: COMMIT, 'refs/pr/1': OTHER };
    const { url: hubUrl, asked } = await start({ 'model.safetensors': SINGLE }, { revisions });
    const cacheDir = newCache();
    using one = await fromHub('owner/name', { hubUrl, cacheDir });
    const before = asked().length;
    using two = await fromHub('owner/name', { hubUrl, cacheDir, revision: 'refs/pr/1' });
    expect(one.path).not.toBe(two.path);
    expect(
      asked()
        .slice(before)
        .filter((line) => line.includes('/resolve/')),
    ).toEqual([]);
    const refs = join(cacheDir, 'models--owner--name/refs');
    expect(readFileSync(join(refs, 'refs/pr/1'), 'utf8')).toBe(OTHER);
    expect(readdirSync(join(cacheDir, 'models--owner--name/blobs')).length).toBe(1);
  });

  it('sends a token, and passes on what the hub says without one', async () => {
    const { url: hubUrl } = await start({ 'model.safetensors': SINGLE }, { token: 'hf_secret' });
    const cacheDir = newCache();
    using model = await fromHub('owner/name', { hubUrl, cacheDir, accessToken: 'hf_secret' });
    expect(model.size).toBe(3);
    const error = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir: newCache() }));
    expect(error).toMatchObject({ statusCode: 401 });
  });

  it('takes many at once, into one cache', async () => {
    const { url: hubUrl } = await start(await sharded());
    const cacheDir = newCache();
    const models = await Promise.all(
      Array.from({ length: 6 }, () => fromHub('owner/name', { hubUrl, cacheDir })),
    );
    for (const model of models) {
      expect(model.getTensor('b').data).toEqual(TENSORS.b.data);
      model.close();
    }
    expect(JSON.stringify(Object.keys(contentsOf(cacheDir)))).not.toContain('incomplete');
  });
});

describe('leaves nothing behind, and nothing wrong in the cache:', () => {
  const large = new Uint8Array(4_000_000);
  const model = serialize({ a: { dtype: 'U8', shape: [large.length], data: large } });

  it.each<[string, Partial<HubRepository>, string]>([
    ['a file cut short', { send: (_, bytes) => bytes.subarray(0, -7) }, 'REMOTE_RESPONSE'],
    [
      'a file that is longer',
      { send: (_, bytes) => Buffer.concat([bytes, bytes]) },
      'REMOTE_RESPONSE',
    ],
    [
      'one other bit',
      { send: (_, bytes) => bytes.map((byte, i) => (i === 3_000_000 ? 1 : byte)) },
      'REMOTE_RESPONSE',
    ],
    [
      'a digest that leads elsewhere',
      { describe: (_, truth) => ({ ...truth, lfs: { oid: '../../x', size: 1 } }) },
      'REMOTE_RESPONSE',
    ],
    ['no digest', { describe: (path) => ({ path, type: 'file', size: 4 }) }, 'REMOTE_RESPONSE'],
    ['a commit that leads elsewhere', { revisions: { main: '../../../x' } }, 'REMOTE_RESPONSE'],
    [
      'a folder of that name',
      { describe: (_, truth) => ({ ...truth, type: 'directory' }) },
      'SHARD_MISSING',
    ],
  ])('%s', async (_, lies, code) => {
    const { url: hubUrl } = await start({ 'model.safetensors': model }, lies);
    const cacheDir = newCache();
    const error = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir }));
    expect(error.code).toBe(`ERR_SAFETENSORS_${code}`);
    expect(existsSync(cacheDir) ? Object.keys(contentsOf(cacheDir)) : []).toEqual([]);
  });

  it('a file that is no safetensors file, which the cache has as the hub does', async () => {
    const { url: hubUrl } = await start({ 'model.safetensors': CONFIG });
    const error = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir: newCache() }));
    expect(error.code).toBe('ERR_SAFETENSORS_NOT_SAFETENSORS');
  });

  it.each([
    ['../../../x.safetensors', 'SHARD_PATH'],
    ['sub/x.safetensors', 'SHARD_PATH'],
    ['..', 'SHARD_PATH'],
    ['gone.safetensors', 'SHARD_MISSING'],
  ])('an index with %s', async (name, code) => {
    const index = Buffer.from(JSON.stringify({ weight_map: { a: name } }));
    const { url: hubUrl } = await start({ [INDEX]: index, 'sub/x.safetensors': SINGLE });
    const error = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir: newCache() }));
    expect(error.code).toBe(`ERR_SAFETENSORS_${code}`);
    if (code === 'SHARD_MISSING') expect(error.path).toBe(`hf://owner/name@main/${name}`);
  });

  it('an abort, and then goes on where nothing is', async () => {
    const { url: hubUrl } = await start({ 'model.safetensors': model });
    const cacheDir = newCache();
    const controller = new AbortController();
    const { signal } = controller;
    const onProgress = () => controller.abort(new Error('enough'));
    const error = await thrownBy(() =>
      fromHub('owner/name', { hubUrl, cacheDir, signal, onProgress }),
    );
    expect(error.message).toBe('enough');
    expect(Object.keys(contentsOf(cacheDir))).toEqual([]);
    const aborted = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir, signal }));
    expect(aborted.message).toBe('enough');
    using whole = await fromHub('owner/name', { hubUrl, cacheDir });
    expect(whole.getTensor('a').byteLength).toBe(large.length);
  });

  it('mends a link to contents that are gone', async () => {
    const { url: hubUrl } = await start({ 'model.safetensors': model });
    const cacheDir = newCache();
    (await fromHub('owner/name', { hubUrl, cacheDir })).close();
    const blobs = join(cacheDir, 'models--owner--name/blobs');
    const [blob] = readdirSync(blobs);
    rmSync(join(blobs, blob));
    using whole = await fromHub('owner/name', { hubUrl, cacheDir });
    expect(whole.size).toBe(1);
  });
});

it('a repository without weights, and misuse, are told', async () => {
  const { url: hubUrl } = await start({ 'config.json': CONFIG });
  const none = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir: newCache() }));
  expect(none.code).toBe('ERR_SAFETENSORS_SHARD_MISSING');
  expect(none.message).toContain('neither model.safetensors nor');
  const gone = await thrownBy(() => fromHub('owner/other', { hubUrl, cacheDir: newCache() }));
  expect(gone).toMatchObject({ statusCode: 404 });
  const hyphens = ['a--b', 'owner/a--b', '-a', 'a-', 'owner-/a', 'owner/-a'];
  const dots = ['../x', 'a/..', '.a', 'owner/a.', 'owner./a', 'a..b'];
  for (const repo of ['', 'a/b/c', 'a b', 7, ...hyphens, ...dots]) {
    expect(await thrownBy(() => fromHub(repo as string)), `${repo}`).toBeInstanceOf(TypeError);
  }
  for (const options of [
    { files: [] },
    { files: ['../x.safetensors'] },
    { files: ['config.json'], hubUrl, cacheDir: newCache() },
    { revision: '../main' },
    { onProgress: 1 },
    [],
  ]) {
    const error = await thrownBy(() => fromHub('owner/name', options as object));
    expect(error, JSON.stringify(options)).toBeInstanceOf(TypeError);
  }
});

it('the program of docs/hub.md prints what the page says', async () => {
  const page = readFileSync(new URL('../docs/hub.md', import.meta.url), 'utf8');
  const [, source, output] = /```js\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/.exec(page) ?? [];
  // GPT-2's embeddings, zeros, and as many other tensors as it has.
  const wte = { dtype: 'F32', shape: [50257, 768], data: new Float32Array(50257 * 768) } as const;
  const others = Array.from({ length: 159 }, (_, i) => [`h.${i}`, floats(1, i)] as const);
  const file = serialize(new Map<string, TensorLike>([['wte.weight', wte], ...others]));
  const name = 'openai-community/gpt2';
  const { url } = await start({ 'model.safetensors': file }, { name });
  const programs = fileURLToPath(new URL('../out/docs/', import.meta.url));
  mkdirSync(programs, { recursive: true });
  writeFileSync(`${programs}hub.mjs`, source);
  const env = { ...process.env, HF_ENDPOINT: url, HF_HUB_CACHE: newCache(), NO_COLOR: '1' };
  const { stdout } = await promisify(execFile)(process.execPath, [`${programs}hub.mjs`], { env });
  expect(stdout).toBe(output);
});

describe('the cache is that of Python’s huggingface_hub:', () => {
  // The same request at the same time would block this process, which is the server.
  const script = fileURLToPath(new URL('./interop/hub_cache.py', import.meta.url));
  async function runHub(...args: string[]): Promise<string[]> {
    const { stdout } = await promisify(execFile)(python.path, [script, ...args]);
    return JSON.parse(stdout);
  }

  it('the same files, links and notes, from either', async (context) => {
    withoutPython('the cache of huggingface_hub')(context);
    const files = { ...(await sharded()), 'config.json': CONFIG };
    const hub = await start(files);
    const [ours, theirs] = [newCache(), newCache()];
    mkdirSync(theirs);
    const wanted = [INDEX, 'config.json'];
    (await fromHub('owner/name', { hubUrl: hub.url, cacheDir: ours, files: wanted })).close();
    await runHub(hub.url, 'owner/name', theirs, '1', ...Object.keys(files));
    expect(contentsOf(ours)).toEqual(contentsOf(theirs));
    expect(Object.keys(contentsOf(ours)).length).toBe(2 * Object.keys(files).length + 1);

    const asked = hub.requests.length;
    const paths = await runHub(
      'http://127.0.0.1:1',
      'owner/name',
      ours,
      '0',
      ...Object.keys(files),
    );
    expect(paths).toEqual(
      Object.keys(files).map((file) => join(ours, 'models--owner--name/snapshots', COMMIT, file)),
    );
    const options = { hubUrl: 'http://127.0.0.1:1', cacheDir: theirs, revision: COMMIT };
    using model = await fromHub('owner/name', options);
    expect(model.getTensor('a').data).toEqual(TENSORS.a.data);
    expect(hub.requests.length).toBe(asked);
  });
});
