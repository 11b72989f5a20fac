import { ApiError } from './api-error.ts';
import type { Embedder } from './embedder.ts';

/** Texts of one request; OpenAI's limit. */
const MOST_TEXTS = 2048;
/** Tokens of one request: some seconds of a small encoder. */
const MOST_TOKENS = 65_536;
/** Characters of all texts of a request, since tokens are counted when a text has been cut into them. */
const MOST_CHARACTERS = 262_144;

/** The body of POST /v1/embeddings, as far as a schema tells; `input` is looked at by {@link tokensOf}. */
export interface EmbeddingsBody {
  readonly model: string;
  readonly input: unknown;
  readonly encoding_format?: 'float' | 'base64' | null;
  readonly dimensions?: number | null;
  readonly user?: string | null;
}

export const EMBEDDINGS_SCHEMA = {
  body: {
    type: 'object',
    required: ['model', 'input'],
    properties: {
      model: { type: 'string' },
      // Clients that have a field of their own for each send null for what is not set.
      encoding_format: { enum: ['float', 'base64', null] },
      dimensions: { type: ['integer', 'null'] },
      user: { type: ['string', 'null'] },
    },
  },
};

/** @throws {ApiError} for another model than the one that is served, or another width than it has */
export function checkModel(body: EmbeddingsBody, name: string, width: number): void {
  if (body.model !== name) {
    throw new ApiError(404, `the model ${JSON.stringify(body.model)} is not served, but ${name}`, {
      param: 'model',
      code: 'model_not_found',
    });
  }
  if ((body.dimensions ?? width) !== width) {
    throw badInput(`the model's embeddings have ${width} dimensions`, { param: 'dimensions' });
  }
}

/**
 * The tokens of each text: `input` is a text or tokens, or a list of either.
 * @throws {ApiError} for anything else, and beyond the limits
 */
export function tokensOf(input: unknown, embedder: Embedder): number[][] {
  const texts = listOf(input);
  if (texts.length === 0) throw badInput('input is empty');
  if (texts.length > MOST_TEXTS) throw tooMuch(`${texts.length} texts, at most ${MOST_TEXTS}`);
  const characters = texts.reduce(
    (sum, text) => sum + (typeof text === 'string' ? text.length : 0),
    0,
  );
  if (characters > MOST_CHARACTERS) {
    throw tooMuch(`${characters} characters in all, at most ${MOST_CHARACTERS}`);
  }
  let total = 0;
  return texts.map((text, place) => {
    const tokens = typeof text === 'string' ? tokenize(text, place, embedder) : text;
    checkTokens(tokens, place, embedder);
    total += tokens.length;
    if (total > MOST_TOKENS) throw tooMuch(`more than ${MOST_TOKENS} tokens in all`);
    return tokens;
  });
}

function listOf(input: unknown): (string | number[])[] {
  if (typeof input === 'string') return [input];
  if (Array.isArray(input)) {
    if (input.every((one) => typeof one === 'string')) return input;
    if (input.every((one) => typeof one === 'number')) return [input];
    if (input.every(isNumbers)) return input;
  }
  throw badInput('input is not a text, a list of texts, a list of tokens, or a list of such lists');
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'number');
}

function tokenize(text: string, place: number, embedder: Embedder): number[] {
  if (!embedder.readsText) throw badInput('the model has no tokenizer: send lists of tokens');
  if (text === '') throw badInput(`text ${place} is empty`);
  return embedder.tokenize(text);
}

function checkTokens(tokens: readonly number[], place: number, { config }: Embedder): void {
  const { vocab_size, max_position_embeddings } = config;
  if (tokens.length === 0) throw badInput(`text ${place} has no tokens`);
  if (tokens.length > max_position_embeddings) {
    throw badInput(
      `text ${place} has ${tokens.length} tokens, at most ${max_position_embeddings}`,
      {
        code: 'context_length_exceeded',
      },
    );
  }
  for (const token of tokens) {
    if (Number.isInteger(token) && token >= 0 && token < vocab_size) continue;
    throw badInput(`text ${place}: ${token} is no token from 0 to ${vocab_size - 1}`);
  }
}

function tooMuch(message: string): ApiError {
  return badInput(message, { code: 'request_too_large' });
}

function badInput(message: string, details: { param?: string; code?: string } = {}): ApiError {
  return new ApiError(400, message, { param: 'input', ...details });
}
