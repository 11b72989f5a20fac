import { Worker } from 'node:worker_threads';

const SCRIPT = `
  const { truncateSync } = require('node:fs');
  const { path, bytes, order } = require('node:worker_threads').workerData;
  for (;;) {
    Atomics.wait(order, 0, 0);
    const [turns] = order;
    for (let i = 0; i < turns; i++) Atomics.load(order, 0);
    truncateSync(path, bytes);
    Atomics.store(order, 0, 0);
    Atomics.notify(order, 0);
  }`;

/** Another thread that cuts a file when it is told to, after so many turns of an empty loop. */
export class Cutter {
  readonly #order = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;

  /** @param bytes What is left of the file */
  constructor(path: string, bytes = 0) {
    this.#worker = new Worker(SCRIPT, {
      eval: true,
      workerData: { path, bytes, order: this.#order },
    });
  }

  start(turns: number): void {
    Atomics.store(this.#order, 0, turns);
    Atomics.notify(this.#order, 0);
  }

  wait(): void {
    for (let now = 1; now !== 0; now = Atomics.load(this.#order, 0)) {
      Atomics.wait(this.#order, 0, now, 1000);
    }
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
