import Fastify, { type FastifyInstance } from 'fastify';
import { ApiError, sendError, sendNotFound } from './api-error.ts';
import type { CurrentModel } from './current-model.ts';
import type { Embedder } from './embedder.ts';
import {
  checkModel,
  EMBEDDINGS_SCHEMA,
  type EmbeddingsBody,
  tokensOf,
} from './embeddings-request.ts';
import type { WorkerMetrics } from './metrics.ts';

/** Of a request's body: all texts that the limits allow, in most languages. */
const BODY_LIMIT = 2 * 2 ** 20;
/** A client that sends its request slower than this holds a place that others could have. */
const REQUEST_TIMEOUT_MS = 30_000;

/** What a worker's HTTP server shows of the worker. */
export interface WorkerState {
  readonly models: CurrentModel<Embedder>;
  /** Of the model, in requests. */
  readonly name: string;
  /** Requests at once. */
  readonly maxQueue: number;
  /** Whether all workers have a model. */
  ready: boolean;
  /** Whether the worker is about to end. */
  draining: boolean;
}

export function buildApp(state: WorkerState, metrics: WorkerMetrics): FastifyInstance {
  const app = Fastify({
    logger: { level: 'warn' },
    bodyLimit: BODY_LIMIT,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // A request that comes through an open connection while the server ends is answered still.
    return503OnClosing: false,
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  // JSON only: Fastify would take a text as well.
  app.removeContentTypeParser('text/plain');
  app.setErrorHandler(sendError);
  app.setNotFoundHandler(sendNotFound);
  app.addHook('onSend', async (_request, reply) => {
    if (state.draining) reply.header('connection', 'close');
  });

  app.get('/healthz', (_request, reply) => {
    const { model } = state.models;
    const serving = model?.isIntact === false ? 'weights lost' : 'ok';
    const status = state.draining ? 'draining' : state.ready ? serving : 'warming up';
    reply.code(status === 'ok' ? 200 : 503);
    return reply.send({ status, model: state.name, version: model?.release.version ?? null });
  });

  app.get('/v1/models', async () => {
    return { object: 'list', data: [{ id: state.name, object: 'model', owned_by: 'local' }] };
  });

  const options = {
    schema: EMBEDDINGS_SCHEMA,
    onResponse: async (_request: unknown, reply: { statusCode: number; elapsedTime: number }) => {
      metrics.requests.inc({ status: reply.statusCode });
      metrics.seconds.observe(reply.elapsedTime / 1000);
    },
  };
  let underWay = 0;
  app.post<{ Body: EmbeddingsBody }>('/v1/embeddings', options, async ({ body }, reply) => {
    if (state.models.model === undefined) {
      throw new ApiError(503, 'the model is being read into memory', { retryAfter: 1 });
    }
    if (underWay >= state.maxQueue) {
      throw new ApiError(503, 'too many requests at once', { code: 'overloaded', retryAfter: 1 });
    }
    metrics.underWay.set(++underWay);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort(new ApiError(499, 'the client has gone')));
    try {
      return await state.models.use(async (embedder) => {
        checkModel(body, state.name, embedder.config.hidden_size);
        const texts = tokensOf(body.input, embedder);
        const embeddings = await embedder.embed(texts, gone.signal);
        const tokens = texts.reduce((sum, { length }) => sum + length, 0);
        metrics.tokens.inc(tokens);
        reply.header('x-model-version', embedder.release.version);
        return embeddingList(embeddings, body, tokens);
      });
    } finally {
      metrics.underWay.set(--underWay);
    }
  });
  return app;
}

function embeddingList(
  embeddings: readonly Float32Array[],
  { model, encoding_format }: EmbeddingsBody,
  tokens: number,
): object {
  const data = embeddings.map((embedding, index) => ({
    object: 'embedding',
    index,
    embedding: encoding_format === 'base64' ? base64(embedding) : Array.from(embedding),
  }));
  const usage = { prompt_tokens: tokens, total_tokens: tokens };
  return { object: 'list', data, model, usage };
}

function base64({ buffer, byteOffset, byteLength }: Float32Array): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
