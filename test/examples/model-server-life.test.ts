import {
  copyFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openModel, saveFile, type TensorLike } from '../../src/index.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { request, Server, writeModel } from './support/model-server.ts';

const folder = temporaryFolder();
const tokens = [2, 17, 900, 33, 5, 1023, 3];
let first: string;
let second: string;

beforeAll(async () => {
  first = await writeModel(join(folder, 'first'));
  second = await writeModel(join(folder, 'second'), '--seed', '2');
});

let server: Server;

afterAll(async () => {
  await server?.stop();
});

it('a server that starts answers 503 until all workers have the model', async () => {
  server = await Server.start(first);
  const seen: number[] = [];
  await server.until(async () => {
    const { status, body } = await server.get('/healthz');
    if (status !== seen.at(-1)) seen.push(status);
    if (status !== 200) expect(body.status).toBe('warming up');
    return status === 200;
  });
  expect(seen).toEqual([503, 200]);
  expect((await server.embed(tokens)).status).toBe(200);
});

describe('a swap', () => {
  it('fails no request, and none gets half of one model and half of the other', async () => {
    const [before, after] = await Promise.all([first, second].map(versionOf));
    expect(await server.version()).toBe(before);
    const load = new Load(server, 8, before);
    for (const [path, version] of [
      [second, after],
      [first, before],
      [second, after],
    ]) {
      await load.answers(60);
      load.begins(version);
      const { status, body } = await server.swap(path);
      expect(status).toBe(200);
      expect(body.release).toMatchObject({ path, version });
      load.ends(version);
    }
    await load.answers(60);
    await load.end();
    expect(load.failures).toEqual([]);
    expect(load.count).toBeGreaterThanOrEqual(240);
    // One version, one answer; two versions, two.
    expect([...load.embeddings.keys()].sort()).toEqual([before, after].sort());
    const answers = [...load.embeddings.values()];
    expect(answers.map(({ size }) => size)).toEqual([1, 1]);
    expect([...answers[0]]).not.toEqual([...answers[1]]);
  });

  it('closes the earlier model, and maps no more than before', async () => {
    const mapped = () =>
      server.workers.map((pid) => {
        const maps = readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n');
        return maps.filter((line) => line.includes(folder)).map((line) => line.replace(/.* /, ''));
      });
    for (const path of [first, second, first]) {
      expect((await server.swap(path)).status).toBe(200);
      const wanted = [join(path, 'model.safetensors')];
      await server.until(async () => mapped().every((files) => String(files) === String(wanted)));
    }
    expect(mapped().length).toBe(2);
  });

  it('is refused when the new files are bad, and the earlier model stays', async () => {
    const before = await server.embed(tokens);
    const version = await server.version();
    for (const { name, change, code } of badModels) {
      const path = join(folder, name);
      mkdirSync(path);
      put(first, path);
      await change(path);
      const { status, body } = await server.swap(path);
      expect({ name, status, body }).toEqual({
        name,
        status: 422,
        body: {
          error: {
            type: 'invalid_request_error',
            param: 'path',
            code,
            message: expect.stringMatching(/./),
          },
        },
      });
      expect(await server.version()).toBe(version);
      const after = await server.embed(tokens);
      expect(after.status).toBe(200);
      expect(after.body.data).toEqual(before.body.data);
    }
    const { body } = await request(`${server.operator}/metrics`);
    expect(body.text).toContain(`model_swaps_total{result="refused"} ${badModels.length}`);
  });
});

describe('a worker that is killed', () => {
  it('is replaced by one with the same model', async () => {
    await server.swap(second);
    const version = await server.version();
    const [killed] = server.workers;
    process.kill(killed, 'SIGKILL');
    await server.until(async () => {
      const { status } = await request(`${server.operator}/healthz`);
      return status === 200 && server.workers.length === 2 && !server.workers.includes(killed);
    });
    // Round robin: both workers answer.
    for (let i = 0; i < 6; i++) {
      const { status, headers } = await server.embed(tokens);
      expect(status).toBe(200);
      expect(headers.get('x-model-version')).toBe(version);
    }
    expect(server.stderr).toContain(`worker ${killed} is lost: SIGKILL`);
  });
});

describe('a worker that hangs', () => {
  it('fails a swap in time, and is replaced; the next swap is done', async () => {
    // Longer than a worker takes to start on a machine that is busy.
    await using server = await Server.ready(first, '--worker-seconds', '12');
    const [hung] = server.workers;
    process.kill(hung, 'SIGSTOP');
    const { status, headers, body } = await server.swap(second);
    expect(status).toBe(503);
    expect(headers.get('retry-after')).toBe('1');
    expect(body.error).toMatchObject({ type: 'server_error', code: 'worker_lost' });
    expect(body.error).toMatchObject({
      message: expect.stringContaining(`worker ${hung} was not done with "prepare" after 12 s`),
    });
    await server.until(async () => {
      const { status } = await request(`${server.operator}/healthz`);
      return status === 200 && server.workers.length === 2 && !server.workers.includes(hung);
    });
    expect(await server.version()).toBe(await versionOf(first));
    expect((await server.swap(second)).status).toBe(200);
    for (let i = 0; i < 6; i++) {
      const { headers } = await server.embed(tokens);
      expect(headers.get('x-model-version')).toBe(await versionOf(second));
    }
  });

  it('is found without an order, and replaced', async () => {
    await using server = await Server.ready(first, '--answer-seconds', '4');
    const [hung] = server.workers;
    process.kill(hung, 'SIGSTOP');
    await server.until(async () => server.stderr.includes(`worker ${hung} is lost: SIGKILL`));
    await server.until(async () => {
      const { status } = await request(`${server.operator}/healthz`);
      return status === 200 && server.workers.length === 2 && !server.workers.includes(hung);
    });
    for (let i = 0; i < 6; i++) expect((await server.embed(tokens)).status).toBe(200);
  });

  it('is counted, and the metrics are those of the operator until it goes on', async () => {
    await using server = await Server.ready(first);
    const metrics = () => request(`${server.operator}/metrics`);
    const shows = async (unresponsive: number, ofWorkers: boolean) => {
      const { status, body } = await metrics();
      expect(status).toBe(200);
      const text = String(body.text);
      return (
        text.includes(`\nworkers_unresponsive ${unresponsive}\n`) &&
        text.includes('embeddings_requests_under_way') === ofWorkers
      );
    };
    expect(await shows(0, true)).toBe(true);
    const [hung] = server.workers;
    process.kill(hung, 'SIGSTOP');
    await server.until(() => shows(1, false));
    const { body } = await request(`${server.operator}/healthz`);
    expect(body).toMatchObject({ workers: 2, unresponsive: 1 });
    process.kill(hung, 'SIGCONT');
    await server.until(() => shows(0, true));
    expect(server.workers).toContain(hung);
  });

  it('does not keep the server from its end', async () => {
    const server = await Server.ready(first, '--drain-seconds', '1');
    const { workers } = server;
    process.kill(workers[0], 'SIGSTOP');
    expect(await server.stop()).toBe(1);
    expect(server.stderr).toContain('still under way');
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });
});

describe('files that are replaced under the path that is served', () => {
  it('are served after SIGHUP when they are good, and when a worker could not open the earlier ones', async () => {
    const path = join(folder, 'replaced');
    mkdirSync(path);
    put(first, path);
    await using server = await Server.ready(path);
    const before = await server.version();
    put(second, path);
    server.signal('SIGHUP');
    await server.until(async () => (await server.version()) !== before);
    const after = await server.version();

    writeFileSync(join(path, 'bad'), 'not a model');
    renameSync(join(path, 'bad'), join(path, 'model.safetensors'));
    server.signal('SIGHUP');
    await server.until(async () => server.stderr.includes('refused, and the earlier model stays'));
    expect(await server.version()).toBe(after);
    expect((await server.embed(tokens)).headers.get('x-model-version')).toBe(after);

    put(first, path);
    process.kill(server.workers[0], 'SIGKILL');
    await server.until(async () => {
      const { status } = await request(`${server.operator}/healthz`);
      return status === 200 && (await server.version()) !== after;
    });
    const version = await versionOf(path);
    for (let i = 0; i < 6; i++) {
      expect((await server.embed(tokens)).headers.get('x-model-version')).toBe(version);
    }
  });
});

it('a model that is cut short under the server is 503, never wrong embeddings, until another is served', async () => {
  const model = await writeModel(join(folder, 'cut'));
  await using cut = await Server.ready(model);
  expect((await cut.embed(tokens)).status).toBe(200);
  truncateSync(join(model, 'model.safetensors'), 8192);
  for (let i = 0; i < 8; i++) {
    const { status, body } = await cut.embed(tokens);
    expect({ status, ...body }).toEqual({
      status: 503,
      error: {
        message: expect.stringContaining('lost weights'),
        type: 'server_error',
        param: null,
        code: 'weights_lost',
      },
    });
  }
  await cut.until(async () => (await cut.get('/healthz')).body.status === 'weights lost');
  expect((await cut.swap(second)).status).toBe(200);
  expect((await cut.embed(tokens)).status).toBe(200);
  expect((await cut.get('/healthz')).status).toBe(200);
});

describe('SIGTERM', () => {
  it('lets requests under way end, takes no others, and leaves no process', async () => {
    const server = await Server.ready(first);
    const { workers } = server;
    expect(workers.length).toBe(2);
    // A second or more of work.
    const long = server.embed(new Array(500).fill(new Array(128).fill(7)));
    const ended = long.then(() => Date.now());
    await server.until(async () => {
      const { body } = await request(`${server.operator}/metrics`);
      return !String(body.text).includes('embeddings_requests_under_way 0');
    });
    const begin = Date.now();
    const code = server.stop();
    const { status, body } = await long;
    expect(status).toBe(200);
    expect(body.data.length).toBe(500);
    expect(await ended).toBeGreaterThan(begin);
    expect(await code).toBe(0);
    await expect(server.embed(tokens)).rejects.toThrow('fetch failed');
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  });

  it('ends also a server that is still reading its model', async () => {
    const server = await Server.start(first);
    await server.until(async () => (await server.get('/healthz')).status > 0);
    expect(await server.stop()).toBe(0);
  });
});

it('workers end when the primary is killed', async () => {
  const server = await Server.ready(first);
  const { workers } = server;
  await server.kill();
  for (const pid of workers) {
    for (const begin = Date.now(); Date.now() - begin < 10_000; await sleep(20)) {
      try {
        process.kill(pid, 0);
      } catch {
        break;
      }
    }
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  }
});

/** Models that must not be served, made from a good one in their folder. */
const badModels: { name: string; code: string; change: (path: string) => Promise<void> | void }[] =
  [
    {
      name: 'cut short',
      code: 'ERR_SAFETENSORS_TRUNCATED',
      change: (path) => {
        const file = join(path, 'model.safetensors');
        writeFileSync(file, readFileSync(file).subarray(0, -100));
      },
    },
    {
      name: 'no model',
      code: 'ERR_SAFETENSORS_NOT_SAFETENSORS',
      change: (path) => {
        writeFileSync(
          join(path, 'model.safetensors'),
          Buffer.from('PK\x03\x04 and so on, and so on'),
        );
      },
    },
    {
      name: 'no config',
      code: 'SyntaxError',
      change: (path) => writeFileSync(join(path, 'config.json'), 'model_type: bert'),
    },
    {
      name: 'another size',
      code: 'Error',
      change: (path) => {
        const file = join(path, 'config.json');
        writeFileSync(file, readFileSync(file, 'utf8').replace('256', '512'));
      },
    },
    {
      name: 'a layer less',
      code: 'ERR_SAFETENSORS_TENSOR_NOT_FOUND',
      change: (path) => {
        const file = join(path, 'config.json');
        writeFileSync(file, readFileSync(file, 'utf8').replace('layers": 3', 'layers": 4'));
      },
    },
    {
      name: 'no numbers',
      code: 'Error',
      change: async (path) => {
        using model = await openModel(path);
        const tensors = new Map<string, TensorLike>(model);
        const data = new Float32Array(64).fill(Number.NaN);
        tensors.set('encoder.layer.1.output.dense.bias', { dtype: 'F32', shape: [64], data });
        await saveFile(tensors, join(path, 'model.safetensors'));
      },
    },
  ];

/** Puts the files of a model into a folder, each at once. */
function put(from: string, path: string): void {
  for (const file of ['config.json', 'tokenizer.json', 'model.safetensors']) {
    copyFileSync(join(from, file), join(path, `${file}.new`));
    renameSync(join(path, `${file}.new`), join(path, file));
  }
}

async function versionOf(path: string): Promise<string> {
  using model = await openModel(path);
  return model.version;
}

/** Requests without a pause, by several clients. */
class Load {
  /** Answers so far. */
  count = 0;
  readonly failures: unknown[] = [];
  /** What each version has answered. */
  readonly embeddings = new Map<string, Set<string>>();
  /** Versions that an answer may come from now. */
  #served: readonly string[];
  readonly #clients: Promise<void>[];
  #ending = false;

  constructor(server: Server, clients: number, version: string) {
    this.#served = [version];
    this.#clients = Array.from({ length: clients }, () => this.#client(server));
  }

  /** Another version is ordered: until {@link ends}, it or the earlier one answers. */
  begins(version: string): void {
    this.#served = [...this.#served, version];
  }

  ends(version: string): void {
    this.#served = [version];
  }

  /** Waits for so many more. */
  async answers(count: number): Promise<void> {
    for (const until = this.count + count; this.count < until; ) {
      if (this.failures.length > 0) return;
      await sleep(5);
    }
  }

  async end(): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#clients);
  }

  async #client(server: Server): Promise<void> {
    while (!this.#ending) {
      const served = this.#served;
      try {
        const { status, headers, body } = await server.embed(tokens);
        const version = String(headers.get('x-model-version'));
        if (status !== 200) this.failures.push(body);
        if (![...served, ...this.#served].includes(version)) {
          this.failures.push(`${version} is out of use`);
        }
        const seen = this.embeddings.get(version) ?? new Set();
        this.embeddings.set(version, seen.add(JSON.stringify(body.data)));
      } catch (error) {
        this.failures.push(error);
        return;
      }
      this.count++;
    }
  }
}
