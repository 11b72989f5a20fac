import cluster, { type Worker } from 'node:cluster';
import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PrefetchProgress, SafetensorsErrorCode } from 'safetensors-mmap';
import { ask, expectGreeting } from './ask.ts';
import { examine } from './examine.ts';
import { failureOf, type Order, type Release } from './messages.ts';
import type { ServerOptions } from './options.ts';
import { Pulse } from './pulse.ts';

/** Between the end of a worker and its replacement: at first, and at most when those end too. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/** For processes that are killed to be gone. */
const LAST_MOMENT_MS = 1000;

const FILE_CHANGED: SafetensorsErrorCode = 'ERR_SAFETENSORS_FILE_CHANGED';

interface FleetEvents {
  /** Of the newest model, while it is read from the disk. */
  prefetch: [progress: PrefetchProgress];
  lost: [worker: Worker, reason: string];
  /** A replacement could not be brought to serve; it is tried again. */
  stuck: [error: unknown];
}

/**
 * The workers, of which all serve the same release. A new one is first prepared by all, and only when all
 * of them have it in memory and have tried it, served by all: otherwise by none.
 */
export class Fleet extends EventEmitter<FleetEvents> {
  readonly #options: ServerOptions;
  #release: Release | undefined;
  /** Changes are made one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Workers in a row that did not come to serve. */
  #failures = 0;
  /** Aborted when all is to end. */
  readonly #end = new AbortController();
  readonly #serving = new WeakSet<Worker>();
  readonly #pulse: Pulse;

  constructor(options: ServerOptions) {
    super();
    this.#options = options;
    this.#pulse = new Pulse(options.answerSeconds);
    cluster.on('exit', (worker, code, signal) => {
      if (this.#end.signal.aborted) return;
      this.emit('lost', worker, signal ?? `exit code ${code}`);
      void this.#replace();
    });
  }

  /** The release that is served. */
  get release(): Release | undefined {
    return this.#release;
  }

  /** Workers that serve it. */
  get serving(): Worker[] {
    return this.workers.filter((worker) => this.#serving.has(worker));
  }

  /** Workers that owe an answer, of those that serve. */
  get unresponsive(): number {
    return this.#pulse.unresponsive;
  }

  get workers(): Worker[] {
    return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  }

  /** Starts the workers, which listen at once and serve when all can. @throws as {@link install} */
  async start(): Promise<void> {
    const { model, workers } = this.#options;
    (await examine(model, 'headers'))[Symbol.dispose]();
    for (let i = 0; i < workers; i++) this.#fork();
    await this.#all({ type: 'listen' });
    await this.install(model);
    await this.#all({ type: 'open' });
    for (const worker of this.workers) this.#serves(worker);
  }

  /**
   * Replaces the model that is served, or leaves it.
   * @throws {SafetensorsError}, {Error} for what is wrong with the new one
   * @throws {WorkerLostError}
   */
  install(path: string): Promise<Release> {
    return this.#inTurn(() => this.#install(path));
  }

  /** Ends all workers when their last request is answered. @returns Whether they were in time. */
  async end(): Promise<boolean> {
    this.#end.abort(new Error('the server is ending'));
    const { workers } = this;
    const late = new AbortController();
    const deadline = sleep(this.#options.drainSeconds * 1000, false, { signal: late.signal });
    const ended = Promise.all(workers.map((worker) => this.#endWorker(worker)));
    const inTime = await Promise.race([ended.then(() => true), deadline]);
    deadline.catch(() => {});
    late.abort();
    for (const worker of workers) if (!worker.isDead()) worker.process.kill('SIGKILL');
    await Promise.race([ended, sleep(LAST_MOMENT_MS)]);
    return inTime;
  }

  async #endWorker(worker: Worker): Promise<void> {
    const exit = new Promise((resolve) => worker.once('exit', resolve));
    // Whoever is not done by then is ended by `end`.
    await ask(worker, { type: 'drain' }, this.#options.drainSeconds + 1).catch(() => {});
    if (worker.isDead()) return;
    if (worker.isConnected()) worker.disconnect();
    await exit;
  }

  async #install(path: string): Promise<Release> {
    const depth = this.#options.loading === 'mmap' ? 'data' : 'headers';
    // Kept open until the end: its pages stay in memory until the workers have them.
    using examined = await examine(path, depth, {
      onProgress: (progress) => this.emit('prefetch', progress),
      signal: this.#end.signal,
    });
    const { release } = examined;
    try {
      await this.#all({ type: 'prepare', release });
    } catch (error) {
      await this.#all({ type: 'abort' }).catch(() => {});
      throw error;
    }
    this.#release = release;
    // A worker that ends now is replaced by one with the new release.
    await this.#all({ type: 'commit' }).catch((error) => this.emit('stuck', error));
    return release;
  }

  /** A worker in the place of one that has ended; it listens when it can serve. */
  async #replace(): Promise<void> {
    await sleep(Math.min(FIRST_PAUSE_MS * 2 ** this.#failures, LONGEST_PAUSE_MS));
    await this.#inTurn(async () => {
      const release = this.#release;
      if (release === undefined || this.#end.signal.aborted) return;
      const worker = this.#fork();
      try {
        await this.#ask(worker, { type: 'prepare', release });
        await this.#ask(worker, { type: 'commit' });
        await this.#ask(worker, { type: 'open' });
        this.#serves(worker);
        this.#failures = 0;
      } catch (error) {
        this.#failures++;
        this.emit('stuck', error);
        // Its end brings the next.
        const exit = new Promise((resolve) => worker.once('exit', resolve));
        if (worker.process.kill('SIGKILL')) await exit;
        if (failureOf(error).code !== FILE_CHANGED) return;
        // Nobody can open the earlier files any more: all go on to those that are there now.
        await this.#install(release.path).catch((error) => this.emit('stuck', error));
      }
    });
  }

  /** @throws what the first worker that fails answers; when all have answered */
  async #all(order: Order): Promise<void> {
    const answers = await Promise.allSettled(this.workers.map((one) => this.#ask(one, order)));
    for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  }

  #serves(worker: Worker): void {
    this.#serving.add(worker);
    void this.#pulse.follow(worker, this.#end.signal);
  }

  #fork(): Worker {
    const worker = cluster.fork();
    expectGreeting(worker);
    return worker;
  }

  #ask(worker: Worker, order: Order): Promise<void> {
    return ask(worker, order, this.#options.workerSeconds);
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }
}
