/** What `fetch` uses of a dispatcher of undici, which is what `fetch` of Node is. */
interface Dispatcher {
  dispatch(options: object, handler: unknown): boolean;
}

/** From this version on undici speaks HTTP/2 with whoever offers it: that of Node 26. */
const FIRST_WITH_HTTP2 = 8;

/** Where that undici keeps the dispatcher of all requests; earlier ones, of npm, keep theirs elsewhere. */
const GLOBAL_DISPATCHER = Symbol.for('undici.globalDispatcher.2');

/**
 * What keeps a request of `fetch` to HTTP/1.1, where the runtime would speak HTTP/2: undici has windows of 256 KiB
 * for a stream of that, so that a download gets no more than one of them in each round trip. `@huggingface/hub`
 * does the same (src/utils/XetBlob.ts), but not with a `fetch` that it is given. A dispatcher that the program has
 * set, for a proxy, say, stays in charge.
 */
export async function overHttp1(
  versions: Readonly<Partial<Record<string, string>>> = process.versions,
): Promise<RequestInit> {
  if (versions.bun || !(Number.parseInt(versions.undici ?? '', 10) >= FIRST_WITH_HTTP2)) return {};
  // The first request makes it; this one goes nowhere.
  if (!globalDispatcher()) await fetch('data:,');
  const base = globalDispatcher();
  if (!base) return {};
  const dispatcher: Dispatcher = {
    dispatch: (options, handler) => base.dispatch({ ...options, allowH2: false }, handler),
  };
  // Its type has all methods of undici's class, of which `fetch` calls this one.
  return { dispatcher: dispatcher as NonNullable<RequestInit['dispatcher']> };
}

function globalDispatcher(): Dispatcher | undefined {
  const all: Partial<Record<symbol, Dispatcher>> = globalThis as object;
  return all[GLOBAL_DISPATCHER];
}
