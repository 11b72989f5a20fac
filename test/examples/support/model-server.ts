import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { runCommand } from '../../support/child.ts';

const programs = fileURLToPath(
  new URL('../../../examples/model-server/out/model-server', import.meta.url),
);

/** A process that does not answer for so long has failed. */
const PATIENCE_MS = 60_000;

export interface Answer {
  status: number;
  headers: Headers;
  // The shape is what is tested.
  body: Record<string, unknown>;
}

export interface EmbeddingList {
  object: string;
  model: string;
  data: { object: string; index: number; embedding: number[] }[];
  usage: { prompt_tokens: number; total_tokens: number };
}

/** Writes a model with values from a seed. */
export async function writeModel(folder: string, ...args: string[]): Promise<string> {
  const program = join(programs, 'write-model.js');
  const { code, stderr } = await runCommand(process.execPath, [program, folder, ...args]);
  if (code !== 0) throw new Error(stderr);
  return folder;
}

/** Runs the server until it ends by itself. */
export function runServer(...args: string[]) {
  return runCommand(process.execPath, [join(programs, 'main.js'), ...args]);
}

/** A server that runs: end it by {@link Server.stop}, or `await using`. */
export class Server implements AsyncDisposable {
  readonly url: string;
  readonly operator: string;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  #stderr = '';

  private constructor(args: readonly string[], ports: readonly number[]) {
    [this.url, this.operator] = ports.map((port) => `http://127.0.0.1:${port}`);
    const options = ['--port', String(ports[0]), '--operator-port', String(ports[1]), ...args];
    this.#process = spawn(process.execPath, [join(programs, 'main.js'), ...options], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#process.stderr?.setEncoding('utf8').on('data', (text) => {
      this.#stderr += text;
    });
    this.#ended = once(this.#process, 'close');
  }

  /** Starts a server, without waiting until it serves. */
  static async start(model: string, ...args: string[]): Promise<Server> {
    const ports = [await freePort(), await freePort()];
    return new Server(['--model', model, '--name', 'tested', '--workers', '2', ...args], ports);
  }

  /** A server that serves. */
  static async ready(model: string, ...args: string[]): Promise<Server> {
    const server = await Server.start(model, ...args);
    try {
      await server.until(async () => (await server.get('/healthz')).status === 200);
      return server;
    } catch (error) {
      await server.kill();
      throw error;
    }
  }

  get stderr(): string {
    return this.#stderr;
  }

  get pid(): number {
    return Number(this.#process.pid);
  }

  /** Ids of the worker processes. */
  get workers(): number[] {
    const children = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8');
    return children.trim().split(' ').filter(Boolean).map(Number);
  }

  get(path: string): Promise<Answer> {
    return request(this.url + path);
  }

  post(path: string, body: unknown): Promise<Answer> {
    return request(this.url + path, body);
  }

  embed(input: unknown): Promise<Answer & { body: EmbeddingList }> {
    const answer = this.post('/v1/embeddings', { model: 'tested', input });
    return answer as unknown as Promise<Answer & { body: EmbeddingList }>;
  }

  /** Orders another model. */
  swap(path?: string): Promise<Answer> {
    return request(`${this.operator}/model`, path === undefined ? {} : { path });
  }

  /** The version that is served, as the operator's port tells. */
  async version(): Promise<string> {
    const { body } = await request(`${this.operator}/healthz`);
    return (body.release as { version: string }).version;
  }

  /** Waits until something holds; a server that is not there yet holds nothing. */
  async until(holds: () => Promise<boolean>): Promise<void> {
    for (const begin = Date.now(); !(await holds().catch(() => false)); await sleep(20)) {
      if (this.#process.exitCode === null && Date.now() - begin < PATIENCE_MS) continue;
      throw new Error(`the server does not come to it:\n${this.#stderr}`);
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** @returns Its exit code. */
  async ended(): Promise<unknown> {
    return (await this.#ended)[0];
  }

  /** Ends it as systems do. @returns Its exit code. */
  stop(): Promise<unknown> {
    this.signal('SIGTERM');
    return this.ended();
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.stop();
  }
}

/** Any bytes as a body: `body` is JSON text, or what becomes JSON. */
export async function request(url: string, body?: unknown, type = 'application/json') {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const init =
    body === undefined ? {} : { method: 'POST', headers: { 'content-type': type }, body: text };
  const signal = AbortSignal.timeout(PATIENCE_MS);
  const response = await fetch(url, { ...init, signal });
  const content = await response.text();
  const isJson = response.headers.get('content-type')?.startsWith('application/json');
  const { status, headers } = response;
  return { status, headers, body: isJson ? JSON.parse(content) : { text: content } };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
