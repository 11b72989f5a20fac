import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';

interface ErrorDetails {
  /** The field of the request that is meant. */
  readonly param?: string;
  readonly code?: string;
  /** When to come again, in seconds. */
  readonly retryAfter?: number;
}

/** An answer that is no embedding. */
export class ApiError extends Error {
  readonly status: number;
  readonly details: ErrorDetails;

  constructor(status: number, message: string, details: ErrorDetails = {}) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.details = details;
  }
}

/** An error as OpenAI's clients expect it. */
export function errorBody(status: number, message: string, { param, code }: ErrorDetails = {}) {
  const type = status >= 500 ? 'server_error' : 'invalid_request_error';
  return { error: { message, type, param: param ?? null, code: code ?? null } };
}

/** Fastify's error handler: {@link ApiError}, what Fastify refuses, and what is not the client's fault. */
export function sendError(
  error: FastifyError | ApiError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  if (error instanceof ApiError) {
    const { status, message, details } = error;
    if (details.retryAfter !== undefined) reply.header('retry-after', details.retryAfter);
    return reply.code(status).send(errorBody(status, message, details));
  }
  const { code, statusCode = 500, validation } = error;
  if (code === 'ERR_SAFETENSORS_FILE_CHANGED') {
    request.log.error(error);
    const message = 'the model has lost weights, and answers again when it has been read anew';
    return reply.code(503).send(errorBody(503, message, { code: 'weights_lost' }));
  }
  if (validation !== undefined) {
    const [{ instancePath, params }] = validation;
    const param = instancePath.slice(1) || String(params.missingProperty ?? 'body');
    return reply.code(400).send(errorBody(400, error.message, { param }));
  }
  if (statusCode < 500) return reply.code(statusCode).send(errorBody(statusCode, error.message));
  request.log.error(error);
  return reply.code(500).send(errorBody(500, 'the server failed at this request'));
}

export function sendNotFound({ method, url }: FastifyRequest, reply: FastifyReply): FastifyReply {
  const message = `there is no ${method} ${url}`;
  return reply.code(404).send(errorBody(404, message, { code: 'unknown_url' }));
}
