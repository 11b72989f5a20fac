import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

export interface TestServer {
  /** `http://127.0.0.1:…`, without a slash at the end. */
  readonly url: string;
  /** What was asked for. */
  readonly requests: IncomingMessage[];
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** A server on this machine, until the end of the test. */
export async function startServer(handler: Handler): Promise<TestServer> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    response.on('error', () => {});
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

/** First and last byte that are asked for; the last may be behind the end. */
export function rangeOf({ headers }: IncomingMessage): [first: number, last: number] {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
  return [Number(first), Number(last)];
}

/** Serves ranges of a file as a good server does. */
export function serveRange(file: Uint8Array, headers: Record<string, string> = {}): Handler {
  return (request, response) => {
    const [first, last] = rangeOf(request);
    if (file.length === 0) {
      response.writeHead(416, { 'content-range': 'bytes */0' }).end();
      return;
    }
    const end = Math.min(last + 1, file.length);
    response.writeHead(206, {
      'content-range': `bytes ${first}-${end - 1}/${file.length}`,
      'content-length': end - first,
      ...headers,
    });
    response.end(file.subarray(first, end));
  };
}
