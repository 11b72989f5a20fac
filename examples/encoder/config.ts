/** What `config.json` of a BERT says of its encoder: the fields that shapes and arithmetic depend on. */
export interface EncoderConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly intermediate_size: number;
  readonly max_position_embeddings: number;
  readonly type_vocab_size: number;
  readonly layer_norm_eps: number;
}

/** Small enough for a test, with every part of a large one. */
export const TINY: EncoderConfig = {
  vocab_size: 1024,
  hidden_size: 64,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  intermediate_size: 256,
  max_position_embeddings: 128,
  type_vocab_size: 2,
  layer_norm_eps: 1e-12,
};

/** The size of sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2: 471 MB in F32. */
export const MULTILINGUAL_MINILM: EncoderConfig = {
  vocab_size: 250_037,
  hidden_size: 384,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 1536,
  max_position_embeddings: 512,
  type_vocab_size: 2,
  layer_norm_eps: 1e-12,
};

/** Other activations and positions exist; this encoder has those of BERT. */
const FIXED = { hidden_act: 'gelu', position_embedding_type: 'absolute' };

/** More than any encoder has: a config.json comes from somewhere, and must not ask for the impossible. */
const MOST = 2 ** 24;

/** @throws {Error} for what is no config.json, or one of another kind of model */
export function parseConfig(text: string): EncoderConfig {
  const json: unknown = JSON.parse(text);
  if (typeof json !== 'object' || json === null) throw new Error('config.json is not an object');
  const fields = new Map<string, unknown>(Object.entries(json));
  for (const [field, wanted] of Object.entries(FIXED)) {
    const found = fields.get(field) ?? wanted;
    if (found !== wanted) throw new Error(`config.json: ${field} is ${found}, not ${wanted}`);
  }
  const counts = Object.keys(TINY).filter((field) => field !== 'layer_norm_eps');
  for (const field of counts) {
    const value = fields.get(field);
    if (!Number.isInteger(value) || Number(value) < 1 || Number(value) > MOST) {
      throw new Error(`config.json: ${field} is ${value}, not a whole number from 1 to ${MOST}`);
    }
  }
  const epsilon = fields.get('layer_norm_eps');
  if (typeof epsilon !== 'number' || !(epsilon > 0)) {
    throw new Error(`config.json: layer_norm_eps is ${epsilon}, not a number above 0`);
  }
  const config = Object.fromEntries(Object.keys(TINY).map((field) => [field, fields.get(field)]));
  const { hidden_size, num_attention_heads } = config as unknown as EncoderConfig;
  if (hidden_size % num_attention_heads !== 0) {
    throw new Error(
      `config.json: ${hidden_size} are not shared out to ${num_attention_heads} heads`,
    );
  }
  return config as unknown as EncoderConfig;
}
