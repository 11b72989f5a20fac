import type { Settings } from './options.ts';

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
  return (input, init) => {
    const isRequest = input instanceof Request;
    const headers = new Headers(init?.headers ?? (isRequest ? input.headers : undefined));
    const isForeign = new URL(isRequest ? input.url : input).origin !== origin;
    if (isForeign && headers.get('authorization') === `Bearer ${accessToken}`) {
      headers.delete('authorization');
    }
    return fetch(input, { ...init, headers, ...(signal && { signal }) });
  };
}
