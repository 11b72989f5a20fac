import type { Worker } from 'node:cluster';
import { type Hello, type Order, RefusedError, type Reply } from './messages.ts';

/** A worker that ended, or gave no answer, before it had done what it was asked: no fault of the model. */
export class WorkerLostError extends Error {
  readonly code = 'worker_lost';
}

/** Of each worker: when it listens to what it is asked. */
const greetings = new WeakMap<Worker, Promise<void>>();
let orders = 0;

/** To be called as soon as there is the worker, which greets once. */
export function expectGreeting(worker: Worker): void {
  const greeting = new Promise<void>((resolve) => {
    worker.on('message', ({ type }: Hello | Reply) => type === 'hello' && resolve());
  });
  greetings.set(worker, greeting);
}

/**
 * Has a worker do something. One that does not answer in time is killed, so that another takes its place.
 *
 * @throws {RefusedError} what the worker answers
 * @throws {WorkerLostError}
 */
export async function ask(worker: Worker, order: Order, seconds: number): Promise<void> {
  const id = orders++;
  const stop = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      const listen = (event: 'message' | 'exit', listener: (reply: Reply) => void) => {
        worker.on(event, listener);
        stop.signal.addEventListener('abort', () => worker.off(event, listener));
      };
      const lost = (what: string) => {
        reject(new WorkerLostError(`worker ${worker.process.pid} ${what}`));
      };
      listen('message', ({ type, id: answered, failure }) => {
        if (type !== 'reply' || answered !== id) return;
        if (failure) reject(new RefusedError(failure));
        else resolve();
      });
      listen('exit', () => lost('has ended'));
      if (worker.isDead()) lost('has ended');
      const late = setTimeout(() => {
        lost(`was not done with "${order.type}" after ${seconds} s`);
        worker.process.kill('SIGKILL');
      }, seconds * 1000);
      stop.signal.addEventListener('abort', () => clearTimeout(late));
      greetings.get(worker)?.then(() => {
        // Where the channel is closed by now, the end of the worker answers.
        if (worker.isConnected()) worker.send({ ...order, id }, () => {});
      });
    });
  } finally {
    stop.abort();
  }
}
