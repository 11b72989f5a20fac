import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Loading } from '../options.ts';

/** Between two looks whether the server is ready. */
const PAUSE_MS = 5;
/** Of writing a swap's answer: it is worth failing for when it takes longer. */
const SWAP_TIMEOUT_MS = 60_000;

/** Of several processes, their proportional set sizes added up, in bytes. */
export interface Memory {
  /** What they take together: a page that several share is counted once. */
  readonly pss: number;
  /** Of that, what is no file's: of their own each. */
  readonly anonymous: number;
}

/** A model server in processes of its own, on free ports of this machine. */
export class ServerProcess implements AsyncDisposable {
  readonly url: string;
  readonly #operator: string;
  readonly #process: ChildProcess;

  private constructor(args: readonly string[], port: number, operatorPort: number) {
    this.url = `http://127.0.0.1:${port}`;
    this.#operator = `http://127.0.0.1:${operatorPort}`;
    const program = fileURLToPath(new URL('../main.js', import.meta.url));
    const ports = ['--port', String(port), '--operator-port', String(operatorPort)];
    this.#process = spawn(process.execPath, [program, ...ports, ...args], {
      stdio: ['ignore', 'ignore', 'ignore'],
    });
  }

  /** @returns The server, and the seconds from its start until it was ready. */
  static async start(
    model: string,
    loading: Loading,
    workers: number,
  ): Promise<{ server: ServerProcess; seconds: number }> {
    const [port, operatorPort] = [await freePort(), await freePort()];
    const begin = performance.now();
    const args = ['--model', model, '--name', 'm', '--loading', loading];
    const server = new ServerProcess([...args, '--workers', String(workers)], port, operatorPort);
    try {
      await server.#ready();
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return { server, seconds: (performance.now() - begin) / 1000 };
  }

  /** @returns The seconds that it took. */
  async swap(path: string): Promise<number> {
    const response = await fetch(`${this.#operator}/model`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ path }),
      signal: AbortSignal.timeout(SWAP_TIMEOUT_MS),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`a swap was refused: ${text}`);
    const { seconds }: { seconds: number } = JSON.parse(text);
    return seconds;
  }

  /** Of the workers; Linux tells. */
  memory(): Memory {
    const { pid } = this.#process;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    const sum = { pss: 0, anonymous: 0 };
    for (const child of children.trim().split(' ')) {
      const rollup = readFileSync(`/proc/${child}/smaps_rollup`, 'utf8');
      sum.pss += kilobytes(rollup, 'Pss') * 1024;
      sum.anonymous += kilobytes(rollup, 'Pss_Anon') * 1024;
    }
    return sum;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const closed = once(this.#process, 'close');
    this.#process.kill('SIGTERM');
    await closed;
  }

  async #ready(): Promise<void> {
    while (this.#process.exitCode === null) {
      const response = await fetch(`${this.url}/healthz`).catch(() => undefined);
      await response?.arrayBuffer();
      if (response?.status === 200) return;
      await sleep(PAUSE_MS);
    }
    throw new Error('the server ended before it was ready');
  }
}

function kilobytes(rollup: string, field: string): number {
  const value = new RegExp(`^${field}: *(\\d+) kB$`, 'm').exec(rollup)?.[1];
  if (value === undefined) throw new Error(`smaps_rollup has no ${field}`);
  return Number(value);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port is free');
  return address.port;
}
