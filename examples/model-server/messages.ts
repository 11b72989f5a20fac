/** One state of a model's files, which all workers serve or none. */
export interface Release {
  readonly path: string;
  /** `SafetensorsModel.version` of the weights. */
  readonly version: string;
  /** Of what is beside them: see {@link ModelFolder}. */
  readonly digest: string;
}

/** What the primary asks of a worker; each is answered by one {@link Reply}. */
export type Order =
  /** Listen, also without a model: then requests are told to come again. */
  | { readonly type: 'listen' }
  /** Open a release, read it into memory and try it; what is served stays. */
  | { readonly type: 'prepare'; readonly release: Release }
  /** Serve what was prepared, and listen. */
  | { readonly type: 'commit' }
  /** Give up what was prepared. */
  | { readonly type: 'abort' }
  /** All workers serve: tell so to those who ask. */
  | { readonly type: 'open' }
  /** Nothing: whether there is an answer is what is asked. */
  | { readonly type: 'ping' }
  /** Take no more requests, and answer when the last is done. */
  | { readonly type: 'drain' };

export type Request = Order & { readonly id: number };

export interface Reply {
  readonly type: 'reply';
  readonly id: number;
  /** Why it was not done. */
  readonly failure?: Failure;
}

/** The first message of a worker: what was sent before would have been lost. */
export interface Hello {
  readonly type: 'hello';
}

/** An error, as processes send it to one another. */
export interface Failure {
  readonly message: string;
  readonly code: string;
}

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { message: String(error), code: 'ERROR' };
  const { code } = error as NodeJS.ErrnoException;
  return { message: error.message, code: typeof code === 'string' ? code : error.name };
}

/** What a {@link Failure} was. */
export class RefusedError extends Error {
  readonly code: string;

  constructor({ message, code }: Failure) {
    super(message);
    this.name = 'RefusedError';
    this.code = code;
  }
}
