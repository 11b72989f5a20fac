import { resolve } from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import { AggregatorRegistry, Counter, Gauge, register } from 'prom-client';
import { ApiError, errorBody, sendError, sendNotFound } from './api-error.ts';
import { WorkerLostError } from './ask.ts';
import type { Fleet } from './fleet.ts';
import { failureOf } from './messages.ts';
import type { ServerOptions } from './options.ts';

/** What this machine calls itself. */
const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];

/** What those who run the server ask and order, apart from what clients reach. */
export function buildOperator(fleet: Fleet, options: ServerOptions): FastifyInstance {
  const app = Fastify({
    logger: { level: 'warn' },
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler(sendError);
  app.setNotFoundHandler(sendNotFound);
  app.addHook('onRequest', async ({ headers }) => checkHost(headers.host, options));

  const swaps = new Counter({
    name: 'model_swaps_total',
    help: 'Models that were to replace the one served',
    labelNames: ['result'],
  });
  new Gauge({
    name: 'workers',
    help: 'Workers that serve',
    collect() {
      this.set(fleet.serving.length);
    },
  });
  new Gauge({
    name: 'workers_unresponsive',
    help: 'Workers that serve, and have not answered for more than a second',
    collect() {
      this.set(fleet.unresponsive);
    },
  });
  showPrefetch(fleet);
  const workerMetrics = new AggregatorRegistry();

  app.get('/metrics', async (_request, reply) => {
    reply.type(register.contentType);
    // One worker that hangs keeps the numbers of all from being added up.
    const counted = await workerMetrics.clusterMetrics().catch((error) => {
      app.log.warn(`no metrics of the workers: ${failureOf(error).message}`);
      return '';
    });
    return `${await register.metrics()}\n${counted}`;
  });

  app.get('/healthz', (_request, reply) => {
    const { release, serving, unresponsive } = fleet;
    const whole = serving.length === options.workers;
    reply.code(whole ? 200 : 503);
    const status = whole ? 'ok' : 'degraded';
    return reply.send({ status, workers: serving.length, unresponsive, release });
  });

  const properties = { path: { type: 'string' } };
  const schema = { body: { type: 'object', properties, additionalProperties: false } };
  app.post<{ Body: { path?: string } }>('/model', { schema }, async ({ body }, reply) => {
    if (fleet.release === undefined) {
      throw new ApiError(409, 'the server is starting: it has no model yet', { retryAfter: 1 });
    }
    const begin = performance.now();
    try {
      const path = resolve(body.path ?? fleet.release.path);
      const release = await fleet.install(path);
      swaps.inc({ result: 'done' });
      return { release, seconds: (performance.now() - begin) / 1000 };
    } catch (error) {
      const { message, code } = failureOf(error);
      if (error instanceof WorkerLostError) {
        swaps.inc({ result: 'failed' });
        throw new ApiError(503, `${message}: the earlier model stays`, { code, retryAfter: 1 });
      }
      swaps.inc({ result: 'refused' });
      return reply.code(422).send(errorBody(422, message, { param: 'path', code }));
    }
  });
  return app;
}

/**
 * Whoever else a page in a browser says that this address is called, it may then ask it as if it were its own.
 * @throws {ApiError}
 */
function checkHost(host = '', { operatorHosts }: ServerOptions): void {
  const name = host.toLowerCase().replace(/:\d*$/, '').replace(/\.$/, '');
  if ([...LOOPBACK, ...operatorHosts].includes(name)) return;
  const message = `${JSON.stringify(name)} is not what this port may be asked as: see --operator-host`;
  throw new ApiError(403, message, { code: 'host_not_allowed' });
}

function showPrefetch(fleet: Fleet): void {
  const bytes = new Gauge({
    name: 'model_prefetch_bytes',
    help: 'Bytes of the newest model that are read into memory',
  });
  const total = new Gauge({
    name: 'model_prefetch_total_bytes',
    help: 'Bytes of the newest model that are to be read into memory',
  });
  fleet.on('prefetch', (progress) => {
    bytes.set(progress.bytes);
    total.set(progress.totalBytes);
  });
}
