import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  watch,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { fromHub, type HubProgress } from '../src/hub/index.ts';
import { saveModel, serialize } from '../src/index.ts';
import { thrownBy } from './support/errors.ts';
import { type FakeHub, type HubRepository, startHub } from './support/fake-hub.ts';
import { temporaryFolder } from './support/temporary.ts';

const folder = temporaryFolder();
const COMMIT = '0123456789abcdef0123456789abcdef01234567';
const OTHER = 'f'.repeat(40);
const INDEX = 'model.safetensors.index.json';
const NOWHERE = 'http://127.0.0.1:1';
let caches = 0;
const newCache = () => join(folder, `cache-${caches++}`);

const floats = (length: number, value: number) =>
  ({ dtype: 'F32', shape: [length], data: new Float32Array(length).fill(value) }) as const;
const TENSORS = { a: floats(3000, 1), b: floats(3000, 2) };
const SINGLE = serialize(TENSORS);

async function sharded(tensors = TENSORS): Promise<Record<string, Uint8Array>> {
  const path = join(folder, `sharded-${caches++}`);
  await saveModel(tensors, path, { maxShardSize: 13_000 });
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

const downloads = ({ asked }: FakeHub) => asked().filter((line) => line.includes('/resolve/'));
const inCommit = (cacheDir: string, file: string) =>
  join(cacheDir, 'models--owner--name/snapshots', COMMIT, file);

describe('a file of the cache is downloaded again', () => {
  it.each<[what: string, change: (path: string) => void]>([
    ['that is cut short', (path) => truncateSync(path, 5000)],
    ['that is cut within its header', (path) => truncateSync(path, 20)],
    ['that is empty', (path) => truncateSync(path, 0)],
    ['that is longer', (path) => appendFileSync(path, 'more')],
  ])('%s', async (_, change) => {
    const hub = await start({ 'model.safetensors': SINGLE });
    const options = { hubUrl: hub.url, cacheDir: newCache(), revision: COMMIT };
    (await fromHub('owner/name', options)).close();
    const path = inCommit(options.cacheDir, 'model.safetensors');
    change(path);
    using model = await fromHub('owner/name', options);
    expect(model.getTensor('b').data).toEqual(TENSORS.b.data);
    expect(statSync(path).size).toBe(SINGLE.length);
    const before = hub.asked().length;
    using again = await fromHub('owner/name', options);
    expect(again.size).toBe(2);
    expect(hub.asked().length).toBe(before);
  });

  it('when it is an index, and its shards too', async () => {
    const files = await sharded();
    const { url: hubUrl } = await start(files);
    const options = { hubUrl, cacheDir: newCache(), revision: COMMIT };
    (await fromHub('owner/name', options)).close();
    expect(Object.keys(files).length).toBe(3);
    for (const file of Object.keys(files)) truncateSync(inCommit(options.cacheDir, file), 30);
    using model = await fromHub('owner/name', options);
    expect(model.getTensor('b').data).toEqual(TENSORS.b.data);
  });

  it('not where the hub has it so, or cannot be asked', async () => {
    const hub = await start({ 'model.safetensors': SINGLE.subarray(0, -7) });
    const options = { hubUrl: hub.url, cacheDir: newCache(), revision: COMMIT };
    for (const hubUrl of [hub.url, NOWHERE]) {
      const error = await thrownBy(() => fromHub('owner/name', { ...options, hubUrl }));
      expect(error.code).toBe('ERR_SAFETENSORS_TRUNCATED');
    }
    expect(new Set(downloads(hub)).size).toBe(1);
    expect(existsSync(inCommit(options.cacheDir, 'model.safetensors'))).toBe(true);
  });
});

it('a file that fails ends the downloads of the others', async () => {
  const files = await sharded();
  const [bad, slow] = Object.keys(files).filter((file) => file !== INDEX);
  let ended = false;
  let slowBegan: (value?: unknown) => void = () => {};
  const began = new Promise((resolve) => {
    slowBegan = resolve;
  });
  const { url: hubUrl } = await start(files, {
    async stream(path, bytes, response) {
      if (path !== slow) {
        // Not before the other is under way.
        if (path === bad) await began;
        response.end(path === bad ? bytes.map((byte) => byte ^ 1) : bytes);
        return;
      }
      response.on('close', () => {
        ended = !response.writableFinished;
      });
      // Never the rest of it.
      response.write(bytes.subarray(0, 1000));
      slowBegan();
    },
  });
  const cacheDir = newCache();
  const error = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir }));
  expect(error.code).toBe('ERR_SAFETENSORS_REMOTE_RESPONSE');
  expect(error.path).toBe(bad);
  await vi.waitFor(() => expect(ended).toBe(true), 10_000);
  const blobs = readdirSync(join(cacheDir, 'models--owner--name/blobs'));
  expect(blobs.filter((name) => name.endsWith('.incomplete'))).toEqual([]);
});

it('the progress comes to its end where the cache has some of the contents', async () => {
  const old = await sharded();
  const files = { ...old };
  const { url: hubUrl } = await start(files, { revisions: { main: COMMIT, v2: OTHER } });
  const cacheDir = newCache();
  (await fromHub('owner/name', { hubUrl, cacheDir })).close();
  const next = await sharded({ ...TENSORS, b: floats(3000, 9) });
  Object.assign(files, next);
  const progress: HubProgress[] = [];
  const onProgress = (now: HubProgress) => progress.push(now);
  using model = await fromHub('owner/name', { hubUrl, cacheDir, revision: 'v2', onProgress });
  expect(model.getTensor('b').data[0]).toBe(9);
  const shards = Object.keys(files).filter((file) => file !== INDEX);
  const totalBytes = shards.reduce((sum, file) => sum + files[file].length, 0);
  expect(progress.at(-1)).toMatchObject({ bytes: totalBytes, totalBytes });
  for (const [i, { bytes }] of progress.slice(1).entries()) {
    if (progress[i].totalBytes === totalBytes) expect(bytes).toBeGreaterThan(progress[i].bytes);
  }
});

describe('HF_HUB_OFFLINE', () => {
  afterEach(() => vi.unstubAllEnvs());

  it('has the hub not asked, and takes what a revision was last', async () => {
    const hub = await start({ 'model.safetensors': SINGLE });
    const options = { hubUrl: hub.url, cacheDir: newCache() };
    (await fromHub('owner/name', options)).close();
    const before = hub.requests.length;
    vi.stubEnv('HF_HUB_OFFLINE', 'True');
    using model = await fromHub('owner/name', options);
    expect(model.size).toBe(2);
    const missing: [what: string, options: object][] = [
      ['v2', { revision: 'v2' }],
      [`${OTHER}/model.safetensors`, { revision: OTHER, files: ['model.safetensors'] }],
      ['main/config.json', { files: ['model.safetensors', 'config.json'] }],
      ['main', { cacheDir: newCache() }],
    ];
    for (const [what, more] of missing) {
      const error = await thrownBy(() => fromHub('owner/name', { ...options, ...more }));
      expect(error.code, what).toBe('ERR_SAFETENSORS_SHARD_MISSING');
      expect(error.message, what).toContain('HF_HUB_OFFLINE is set');
      expect(error.path).toBe(`hf://owner/name@${what}`);
    }
    expect(hub.requests.length).toBe(before);
    vi.stubEnv('HF_HUB_OFFLINE', '0');
    using online = await fromHub('owner/name', options);
    expect(online.size).toBe(2);
    expect(hub.requests.length).toBe(before + 1);
  });
});

describe('the cache', () => {
  afterEach(() => vi.unstubAllEnvs());

  /** Which files, links and folders there are, and when they changed. */
  function stateOf(cacheDir: string): string[] {
    return ['', ...(readdirSync(cacheDir, { recursive: true }) as string[])].sort().map((name) => {
      const { ino, mtimeNs } = lstatSync(join(cacheDir, name), { bigint: true });
      return `${name}: ${ino}, ${mtimeNs}`;
    });
  }

  it.each([
    ['0', 'asked'],
    ['1', 'not asked'],
  ])('that has all is not written to: HF_HUB_OFFLINE=%s, the hub is %s', async (offline) => {
    const { url: hubUrl } = await start({ 'model.safetensors': SINGLE });
    const options = { hubUrl, cacheDir: newCache() };
    (await fromHub('owner/name', options)).close();
    const before = stateOf(options.cacheDir);
    expect(before.join()).toContain('refs/main:');
    vi.stubEnv('HF_HUB_OFFLINE', offline);
    using model = await fromHub('owner/name', options);
    expect(model.size).toBe(2);
    expect(stateOf(options.cacheDir)).toEqual(before);
  });

  it('notes where a branch is now, when it has moved', async () => {
    const revisions = { main: COMMIT, v2: OTHER };
    const { url: hubUrl } = await start({ 'model.safetensors': SINGLE }, { revisions });
    const options = { hubUrl, cacheDir: newCache() };
    const note = join(options.cacheDir, 'models--owner--name/refs/main');
    for (const commit of [COMMIT, OTHER, COMMIT]) {
      revisions.main = commit;
      (await fromHub('owner/name', options)).close();
      expect(readFileSync(note, 'utf8')).toBe(commit);
    }
  });

  it('keeps nothing of a note that could not be put in its place', async () => {
    const { url: hubUrl } = await start({ 'model.safetensors': SINGLE });
    const cacheDir = newCache();
    const repository = join(cacheDir, 'models--owner--name');
    mkdirSync(join(repository, 'refs/main/of-another'), { recursive: true });
    const error = await thrownBy(() => fromHub('owner/name', { hubUrl, cacheDir }));
    expect(error.code).toMatch(/^(EISDIR|ENOTEMPTY)$/);
    expect(readdirSync(join(repository, 'refs'))).toEqual(['main']);
    expect(readdirSync(repository).sort()).toEqual(['blobs', 'refs', 'snapshots']);
  });

  it('has no name among branches and files that is not one of them, at any moment', async () => {
    const { url: hubUrl } = await start({ 'model.safetensors': SINGLE });
    const cacheDir = newCache();
    const seen = new Set<string | null>();
    const folders = ['refs', join('snapshots', COMMIT)].map((name) =>
      join(cacheDir, 'models--owner--name', name),
    );
    for (const path of folders) mkdirSync(path, { recursive: true });
    const watchers = folders.map((path) => watch(path, (_, name) => seen.add(name)));
    using model = await fromHub('owner/name', { hubUrl, cacheDir });
    expect(model.size).toBe(2);
    await vi.waitFor(() => expect(seen).toContain('main'), 10_000);
    for (const watcher of watchers) watcher.close();
    expect(seen).toEqual(new Set(['model.safetensors', 'main']));
  });
});

describe('what is wrong is told', () => {
  it('of the network in Node’s own shape', async () => {
    const options = { hubUrl: NOWHERE, cacheDir: newCache() };
    const error = await thrownBy(() => fromHub('owner/name', options));
    expect(error.message).not.toBe('fetch failed');
    expect(error.code).toMatch(/ECONNREFUSED|ERR_SAFETENSORS_REMOTE_RESPONSE/);
    const hub = await start({ 'model.safetensors': SINGLE }, { resolve: (_, r) => r.destroy() });
    const broken = await thrownBy(() => fromHub('owner/name', { ...options, hubUrl: hub.url }));
    expect(broken.code).toMatch(/ECONNRESET|ERR_SAFETENSORS_REMOTE_RESPONSE/);
  });

  it.each<[options: object, says: RegExp]>([
    [{ signal: 5 }, /^signal: expected an AbortSignal, found 5/],
    [{ cacheDir: 7 }, /^cacheDir: expected a path, found 7/],
    [{ cacheDir: '' }, /^cacheDir: expected a path/],
    [{ cacheDir: 'a\0b' }, /^cacheDir: expected a path/],
    [{ hubUrl: 'huggingface.co' }, /^hubUrl: expected an absolute URL/],
    [{ hubUrl: 'file:///x' }, /^hubUrl: expected http: or https:/],
    [{ hubUrl: 'https://me:hf_secret@host/' }, /^hubUrl: expected one without a name or a pass/],
    [{ files: ['a.safetensors', 'b.safetensors'] }, /^files: expected one index, or one/],
    [{ files: ['config.json'] }, /^files: expected one index, or one .* found \[ 'config.json' \]/],
    [{ onProgress: 1 }, /^onProgress: expected a function/],
    [{ backend: 'zzz' }, /^backend: expected/],
  ])('of %j, before anything is asked', async (options, says) => {
    const { url: hubUrl, requests } = await start({ 'model.safetensors': SINGLE });
    const all = { hubUrl, cacheDir: newCache(), ...options };
    const error = await thrownBy(() => fromHub('owner/name', all));
    expect(error).toBeInstanceOf(TypeError);
    expect(error.message).toMatch(says);
    expect(error.message).not.toContain('secret');
    expect(requests.length).toBe(0);
  });
});
