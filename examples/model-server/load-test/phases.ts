import autocannon from 'autocannon';
import type { ServerProcess } from './server-process.ts';

/** Clients that send a request as soon as the last is answered. */
const CONNECTIONS = 8;
/** Of a request: a sentence. */
const TOKENS = 16;
/** Requests that differ, so that all of the table of words is read. */
const BODIES = 1000;

export interface Phase {
  /** Answers in a second. */
  readonly throughput: number;
  /** Of an answer, in milliseconds. */
  readonly median: number;
  readonly p99: number;
  readonly requests: number;
  /** Requests without an answer of 200. */
  readonly failed: number;
}

/**
 * Loads a server for a while.
 * @param words Of its model.
 */
export async function load(
  server: Pick<ServerProcess, 'url'>,
  seconds: number,
  words: number,
): Promise<Phase> {
  const result = await autocannon({
    url: `${server.url}/v1/embeddings`,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    connections: CONNECTIONS,
    duration: seconds,
    requests: bodies(words).map((body) => ({ body })),
  });
  const { requests, latency, errors, timeouts, non2xx } = result;
  return {
    throughput: requests.total / result.duration,
    median: latency.p50,
    p99: latency.p99,
    requests: requests.total,
    failed: errors + timeouts + non2xx,
  };
}

/**
 * Loads a server while one model after another takes the place of the last.
 * @throws {Error} when a swap was refused, and the load is over
 */
export async function loadWhileSwapping(
  server: Pick<ServerProcess, 'url' | 'swap'>,
  models: readonly string[],
  seconds: number,
  words: number,
): Promise<{ phase: Phase; swaps: number[] }> {
  let loading = true;
  const swapping = (async () => {
    const swaps: number[] = [];
    while (loading) swaps.push(await server.swap(models[(swaps.length + 1) % models.length]));
    return swaps;
  })();
  // A refusal is told below. Until then nobody waits for it, which would end this process, and not the server.
  swapping.catch(() => {});
  const phase = await load(server, seconds, words).finally(() => {
    loading = false;
  });
  return { phase, swaps: await swapping };
}

function bodies(words: number): string[] {
  return Array.from({ length: BODIES }, (_, body) => {
    const input = Array.from({ length: TOKENS }, (_, i) => ((body * TOKENS + i) * 7919) % words);
    return JSON.stringify({ model: 'm', input });
  });
}
