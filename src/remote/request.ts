import { SafetensorsError } from '../errors.ts';
import type { RequestOptions } from './options.ts';

/** As many as published files are behind, and some more. */
const MOST_REDIRECTS = 5;

/** The answer to one request, after redirects; its body has not been read. */
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /**
   * @throws what `tooLong` gives when it is longer than `most` bytes: REMOTE_RESPONSE by default
   * @throws {SafetensorsError} REMOTE_RESPONSE when the bytes are not sent as they are
   */
  body(most: number, tooLong?: () => Error): Promise<Buffer>;
}

/** Bytes of a file, from the first that was asked for. */
export interface ReadRange {
  readonly bytes: Buffer;
  /** Bytes of the file. */
  readonly total: number;
  /** What the server calls this version of it, or when it says that it was changed last. */
  readonly tag: string | null;
}

/** A URL as messages show it: what is behind a `?` may be a signature that opens the file. */
export function shownUrl({ origin, pathname }: URL): string {
  return `${origin}${pathname}`;
}

export function remoteError(url: URL, message: string, cause?: unknown): SafetensorsError {
  return new SafetensorsError('REMOTE_RESPONSE', message, { path: shownUrl(url), cause });
}

/** What was wrong with the network: `fetch` says "fetch failed" of everything, and has the cause beside it. */
export function networkError(url: URL, error: unknown): Error {
  const { cause } = error as Error;
  if (cause instanceof Error && 'syscall' in cause) return cause;
  // Without a cause it is about the request, with the whole URL in it, which is not passed on either.
  if (!(cause instanceof Error)) return remoteError(url, 'the request could not be made');
  // Where a name has several addresses, there is one error for each, and no message.
  const { message, code } = cause as NodeJS.ErrnoException;
  return remoteError(url, `the connection broke: ${message || code}`, error);
}

/**
 * Reads bytes `first` to `last` of a file, or to its end where that comes before.
 *
 * @throws {SafetensorsError} REMOTE_RESPONSE for any other answer, for too many redirects, one from https: to
 *   http: or to a URL with a password, and when no byte comes for too long
 * @throws the reason of the signal; failures of the network in Node's own shape, as ECONNREFUSED
 */
export function readRange(
  url: URL,
  options: RequestOptions,
  first: number,
  last: number,
): Promise<ReadRange> {
  return request(url, options, { range: `bytes=${first}-${last}` }, async (answer) => {
    const { status, headers } = answer;
    const found = headers.get('content-range') ?? '';
    const tag = headers.get('etag') ?? headers.get('last-modified');
    if (status === 416 && first === 0 && found === 'bytes */0') {
      return { bytes: Buffer.alloc(0), total: 0, tag };
    }
    if (status !== 206) throw remoteError(url, `expected status 206, a range; found ${status}`);
    if (/^multipart\//i.test(headers.get('content-type') ?? '')) {
      throw remoteError(url, 'expected one range, found a list of parts');
    }
    const [, ...numbers] = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/.exec(found) ?? [];
    const [from, to, total] = numbers.map(Number);
    if (from !== first || to !== Math.min(last, total - 1) || !Number.isSafeInteger(total)) {
      const wanted = `a Content-Range of bytes ${first} to ${last}, or the last`;
      throw remoteError(url, `expected ${wanted}; found ${JSON.stringify(found)}`);
    }
    const length = to - from + 1;
    const bytes = await answer.body(length);
    if (bytes.length === length) return { bytes, total, tag };
    throw remoteError(url, `expected ${length} bytes, found ${bytes.length}`);
  });
}

/**
 * Reads a whole file of at most `most` bytes; undefined where there is none (status 404).
 * @throws as {@link readRange}; what `tooLong` gives
 */
export function readWhole(
  url: URL,
  options: RequestOptions,
  { most, tooLong }: { most: number; tooLong: () => Error },
): Promise<Buffer | undefined> {
  // Of a range, fetch itself asks for the bytes as they are.
  const plain = { 'accept-encoding': 'identity' };
  return request(url, options, plain, async ({ status, body }) => {
    if (status === 404) return undefined;
    if (status !== 200) throw remoteError(url, `expected status 200, found ${status}`);
    return body(most, tooLong);
  });
}

/** Asks, and hands the answer to `use`; what is left of the body then is not waited for. */
async function request<T>(
  url: URL,
  options: RequestOptions,
  headers: Readonly<Record<string, string>>,
  use: (answer: Answer) => Promise<T>,
): Promise<T> {
  using watch = new Watch(url, options);
  const response = await follow(url, options, headers, watch);
  const { status, headers: found } = response;
  // Only of what is read: what comes with a refusal may be in any form.
  const body: Answer['body'] = async (most, tooLong) => {
    const encoding = found.get('content-encoding') ?? 'identity';
    if (encoding !== 'identity') {
      throw remoteError(url, `expected the bytes as they are, found them in ${encoding}`);
    }
    const long = () => remoteError(url, `expected at most ${most} bytes, found more`);
    return watch.over(readBody(response, most, tooLong ?? long, watch));
  };
  return await use({ status, headers: found, body });
}

async function follow(
  url: URL,
  { headers }: RequestOptions,
  wanted: Readonly<Record<string, string>>,
  watch: Watch,
): Promise<Response> {
  let at = url;
  // Once somebody else has said where to go, not even back home: what is asked for there is their choice.
  let own = headers;
  for (let redirects = 0; redirects <= MOST_REDIRECTS; redirects++) {
    const asked = new Headers(own);
    for (const [name, value] of Object.entries(wanted)) asked.set(name, value);
    const { signal } = watch;
    const response = await watch.over(
      fetch(at.href, { headers: asked, redirect: 'manual', signal }),
    );
    const location = response.headers.get('location');
    if (response.status < 300 || response.status > 399 || location === null) return response;
    await response.body?.cancel();
    if (!URL.canParse(location, at.href)) throw remoteError(url, 'a redirect to what is no URL');
    const next = new URL(location, at);
    if (next.protocol !== 'https:' && next.protocol !== at.protocol) {
      throw remoteError(url, `a redirect from ${at.protocol} to ${next.protocol}`);
    }
    if (next.username || next.password)
      throw remoteError(url, 'a redirect to a URL with a password');
    if (next.origin !== url.origin) own = {};
    at = next;
  }
  throw remoteError(url, `more than ${MOST_REDIRECTS} redirects`);
}

async function readBody(
  { body }: Response,
  most: number,
  tooLong: () => Error,
  watch: Watch,
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop cancels what is left of the body.
  for await (const piece of body ?? []) {
    watch.alive();
    length += piece.length;
    if (length > most) throw tooLong();
    pieces.push(piece);
  }
  return Buffer.concat(pieces, length);
}

/** Ends a request when the caller wants it, or when the server says nothing for too long. */
class Watch implements Disposable {
  readonly #url: URL;
  readonly #caller: AbortSignal | undefined;
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #abort: () => void;

  constructor(url: URL, { signal, timeoutMs }: RequestOptions) {
    signal?.throwIfAborted();
    this.#url = url;
    this.#caller = signal;
    this.#abort = () => this.#controller.abort(signal?.reason);
    signal?.addEventListener('abort', this.#abort);
    const late = () => this.#controller.abort(remoteError(url, `no byte came for ${timeoutMs} ms`));
    this.#timer = setTimeout(late, timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  alive(): void {
    this.#timer.refresh();
  }

  /** What `work` comes to; why it was ended, or what was wrong with the network. */
  async over<T>(work: Promise<T>): Promise<T> {
    try {
      const result = await work;
      this.alive();
      return result;
    } catch (error) {
      if (this.signal.aborted) throw this.signal.reason;
      if (error instanceof SafetensorsError) throw error;
      throw networkError(this.#url, error);
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener('abort', this.#abort);
    // A body that nobody has read to its end.
    this.#controller.abort();
  }
}
