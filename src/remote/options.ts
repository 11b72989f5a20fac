import { checkInteger, checkObject, checkSignal } from '../arguments.ts';
import { type CheckedParseOptions, type ParseOptions, parseOptions } from '../open-options.ts';

export interface RemoteOptions extends ParseOptions {
  /**
   * Sent with each request to the URL's own origin, until it redirects to another; not to that one, and to none
   * that it redirects to.
   */
  headers?: Readonly<Record<string, string>> | undefined;
  /** Ends it: the promise is rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** The longest time without a byte from the server, in milliseconds. Default: 30,000. */
  timeoutMs?: number | undefined;
}

const DEFAULT_TIMEOUT_MS = 30_000;

/** What `setTimeout` can wait. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** How a server is asked. */
export interface RequestOptions {
  headers: Readonly<Record<string, string>>;
  signal: AbortSignal | undefined;
  timeoutMs: number;
}

/** {@link RemoteOptions} with their defaults. */
export interface CheckedRemoteOptions {
  parse: CheckedParseOptions;
  request: RequestOptions;
}

/** @throws {TypeError} @throws {RangeError} */
export function remoteOptions(options: RemoteOptions = {}): CheckedRemoteOptions {
  checkObject(options, 'options');
  const { headers = {}, signal, timeoutMs = DEFAULT_TIMEOUT_MS, ...parse } = options;
  checkHeaders(headers);
  checkSignal(signal);
  checkInteger(timeoutMs, 'timeoutMs', 1, LONGEST_TIMEOUT_MS);
  return { parse: parseOptions(parse), request: { headers, signal, timeoutMs } };
}

/** No message shows them: there may be a token among them. */
function checkHeaders(headers: unknown): void {
  checkObject(headers, 'headers');
  try {
    new Headers(headers as Record<string, string>);
  } catch {
    throw new TypeError('headers: expected names and values as HTTP has them');
  }
}
