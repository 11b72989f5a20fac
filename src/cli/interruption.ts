/** Signals by which people and systems end a command early. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The reason that work was given up for: a signal. */
export class Interruption extends Error {
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`);
    this.signal = signal;
  }
}

/**
 * Runs work that has something to put away, as a half-written file or a progress bar, when it is
 * ended by Ctrl-C. A second Ctrl-C ends the process at once.
 *
 * @throws {Interruption} when `work` rejects with the reason of its signal
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stopListening = () => {
    for (const name of ENDING) process.off(name, interrupt);
  };
  const interrupt = (name: NodeJS.Signals) => {
    stopListening();
    controller.abort(new Interruption(name));
  };
  for (const name of ENDING) process.on(name, interrupt);
  try {
    return await work(controller.signal);
  } finally {
    stopListening();
  }
}
