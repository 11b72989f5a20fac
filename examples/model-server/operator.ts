import { resolve } from 'node:path';
import Fastify, { type FastifyInstance } from 'fastify';
import { AggregatorRegistry, Counter, Gauge, register } from 'prom-client';
import { ApiError, errorBody, sendError, sendNotFound } from './api-error.ts';
import type { Fleet } from './fleet.ts';
import { failureOf } from './messages.ts';
import type { ServerOptions } from './options.ts';

/** What those who run the server ask and order, apart from what clients reach. */
export function buildOperator(fleet: Fleet, options: ServerOptions): FastifyInstance {
  const app = Fastify({ logger: { level: 'warn' } });
  app.setErrorHandler(sendError);
  app.setNotFoundHandler(sendNotFound);

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
  showPrefetch(fleet);
  const workerMetrics = new AggregatorRegistry();

  app.get('/metrics', async (_request, reply) => {
    reply.type(register.contentType);
    return `${await register.metrics()}\n${await workerMetrics.clusterMetrics()}`;
  });

  app.get('/healthz', (_request, reply) => {
    const { release, serving } = fleet;
    const whole = serving.length === options.workers;
    reply.code(whole ? 200 : 503);
    return reply.send({ status: whole ? 'ok' : 'degraded', workers: serving.length, release });
  });

  const schema = { body: { type: 'object', properties: { path: { type: 'string' } } } };
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
      swaps.inc({ result: 'refused' });
      const { message, code } = failureOf(error);
      return reply.code(422).send(errorBody(422, message, { param: 'path', code }));
    }
  });
  return app;
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
