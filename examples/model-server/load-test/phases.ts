import autocannon from 'autocannon';
import type { ServerProcess } from './server-process.ts';

/** Clients that send a request as soon as the last is answered. */
const CONNECTIONS = 8;
/** Of a request: a sentence. */
const TOKENS = 16;
/** Requests that differ, so that all of the table of words is read. */
const BODIES = 1000;
/** Of the models that are loaded, or a few fewer. */
const WORDS = 250_000;

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

/** Loads a server for a while. */
export async function load(server: ServerProcess, seconds: number): Promise<Phase> {
  const result = await autocannon({
    url: `${server.url}/v1/embeddings`,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    connections: CONNECTIONS,
    duration: seconds,
    requests: bodies().map((body) => ({ body })),
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

/** Loads a server while one model after another takes the place of the last. */
export async function loadWhileSwapping(
  server: ServerProcess,
  models: readonly string[],
  seconds: number,
): Promise<{ phase: Phase; swaps: number[] }> {
  let loading = true;
  const swapping = (async () => {
    const swaps: number[] = [];
    while (loading) swaps.push(await server.swap(models[(swaps.length + 1) % models.length]));
    return swaps;
  })();
  const phase = await load(server, seconds).finally(() => {
    loading = false;
  });
  return { phase, swaps: await swapping };
}

function bodies(): string[] {
  return Array.from({ length: BODIES }, (_, body) => {
    const input = Array.from({ length: TOKENS }, (_, i) => ((body * TOKENS + i) * 7919) % WORDS);
    return JSON.stringify({ model: 'm', input });
  });
}
