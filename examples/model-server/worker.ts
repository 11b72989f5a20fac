import process from 'node:process';
import type { FastifyInstance } from 'fastify';
import { buildApp, type WorkerState } from './app.ts';
import { CurrentModel } from './current-model.ts';
import { Embedder } from './embedder.ts';
import {
  failureOf,
  type Hello,
  type Order,
  type Release,
  type Reply,
  type Request,
} from './messages.ts';
import { WorkerMetrics } from './metrics.ts';
import type { ServerOptions } from './options.ts';

/** Serves requests, and does what the primary asks, one after another. */
export function runWorker(options: ServerOptions): void {
  const worker = new Worker(options);
  let turn: Promise<unknown> = Promise.resolve();
  process.on('message', (message: Request) => {
    // Others than these are the metrics' library's.
    if (typeof message.id !== 'number') return;
    // Neither the end nor a sign of life waits for a model that is being read.
    if (message.type === 'drain' || message.type === 'ping') void worker.answer(message);
    else turn = turn.then(() => worker.answer(message));
  });
  const hello: Hello = { type: 'hello' };
  process.send?.(hello);
  // Ctrl-C goes to all processes of a terminal, and is the primary's to act on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  // The primary is gone.
  process.on('disconnect', () => void worker.drain().then(() => process.exit()));
}

class Worker {
  readonly #options: ServerOptions;
  readonly #models = new CurrentModel<Embedder>();
  readonly #state: WorkerState;
  readonly #app: FastifyInstance;
  #candidate: Embedder | undefined;
  #listening: Promise<unknown> | undefined;
  #drained: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { name, maxQueue } = options;
    this.#state = { models: this.#models, name, maxQueue, ready: false, draining: false };
    this.#app = buildApp(this.#state, new WorkerMetrics(() => this.#models.model));
  }

  async answer({ id, ...order }: Request): Promise<void> {
    const reply: Reply = await this.#obey(order).then(
      () => ({ type: 'reply', id }),
      (error: unknown) => ({ type: 'reply', id, failure: failureOf(error) }),
    );
    // Without a primary nobody waits for it.
    if (process.connected) process.send?.(reply);
  }

  /** Ends when the last request is answered. */
  drain(): Promise<void> {
    this.#drained ??= this.#drain();
    return this.#drained;
  }

  async #obey(order: Order): Promise<void> {
    switch (order.type) {
      case 'listen':
        return this.#listen();
      case 'prepare':
        return this.#prepare(order.release);
      case 'commit':
        return this.#commit();
      case 'abort':
        await this.#candidate?.close();
        this.#candidate = undefined;
        return;
      case 'open':
        this.#state.ready = true;
        return;
      case 'ping':
        return;
      case 'drain':
        return this.drain();
    }
  }

  async #prepare(release: Release): Promise<void> {
    await this.#candidate?.close();
    this.#candidate = undefined;
    const { loading, threads } = this.#options;
    this.#candidate = await Embedder.load(release, { loading, threads });
  }

  async #commit(): Promise<void> {
    const candidate = this.#candidate;
    if (candidate === undefined) throw new Error('nothing was prepared');
    this.#candidate = undefined;
    // Not waited for: requests of any length may use the earlier model.
    this.#models.replace(candidate).catch((error) => this.#app.log.error(error));
    await this.#listen();
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#options;
    this.#listening ??= this.#app.listen({ host, port });
    await this.#listening;
  }

  async #drain(): Promise<void> {
    this.#state.draining = true;
    await this.#app.close();
    await this.#candidate?.close();
    await this.#models.replace(undefined);
  }
}
