import { networkError, remoteError } from '../remote/request.ts';
import { overHttp1 } from './http1.ts';
import type { Settings } from './options.ts';

/** Statuses of success whose answers have no body. */
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205]);

/**
 * `fetch` for the requests of `@huggingface/hub`, which a signal ends, and which tells the caller's token to
 * nobody but the hub: the library adds it to any URL that an answer led it to. (Xet's own tokens are for
 * other hosts, and stay.)
 */
export function hubFetch({
  hubUrl,
  accessToken,
  signal,
}: Pick<Settings, 'hubUrl' | 'accessToken' | 'signal'>): typeof fetch {
  const { origin } = new URL(hubUrl);
  return async (input, init) => {
    const isRequest = input instanceof Request;
    const headers = new Headers(init?.headers ?? (isRequest ? input.headers : undefined));
    const url = new URL(isRequest ? input.url : input);
    if (url.origin !== origin && headers.get('authorization') === `Bearer ${accessToken}`) {
      headers.delete('authorization');
    }
    let response: Response;
    try {
      const http1 = await overHttp1();
      response = await fetch(input, { ...init, headers, ...(signal && { signal }), ...http1 });
    } catch (error) {
      throw signal?.aborted ? signal.reason : networkError(url, error);
    }
    // The library would wait for the body of a file for ever, and no signal could end it.
    if (WITHOUT_BODY.has(response.status)) {
      throw remoteError(url, `expected contents, found status ${response.status}`);
    }
    return response;
  };
}
