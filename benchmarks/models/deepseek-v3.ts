/**
 * The tensors of DeepSeek-V3, in the order of its layers: names, dtypes and shapes as published
 * (arXiv 2412.19437 and the model's configuration), 91,985 of them.
 */
export interface TensorSpec {
  name: string;
  dtype: 'BF16' | 'F32' | 'F8_E4M3';
  shape: number[];
}

const HIDDEN = 7168;
const VOCABULARY = 129_280;
const LAYERS = 61;
/** One more layer predicts a second token (MTP); the six tensors of its own head are left out. */
const SECOND_TOKEN_LAYERS = 1;
const DENSE_LAYERS = 3;
const DENSE_WIDTH = 18_432;
const EXPERT_WIDTH = 2048;
const ROUTED_EXPERTS = 256;
const HEADS = 128;
const Q_RANK = 1536;
const KV_RANK = 512;
const ROPE_WIDTH = 64;
const NOPE_WIDTH = 128;
const VALUE_WIDTH = 128;
/** One F32 scale for each block of so many rows and columns of an F8 weight. */
const BLOCK = 128;

function* quantised(name: string, rows: number, columns: number): Generator<TensorSpec> {
  yield { name: `${name}.weight`, dtype: 'F8_E4M3', shape: [rows, columns] };
  const scales = [Math.ceil(rows / BLOCK), Math.ceil(columns / BLOCK)];
  yield { name: `${name}.weight_scale_inv`, dtype: 'F32', shape: scales };
}

function norm(name: string, width: number): TensorSpec {
  return { name: `${name}.weight`, dtype: 'BF16', shape: [width] };
}

function* feedForward(name: string, width: number): Generator<TensorSpec> {
  yield* quantised(`${name}.gate_proj`, width, HIDDEN);
  yield* quantised(`${name}.up_proj`, width, HIDDEN);
  yield* quantised(`${name}.down_proj`, HIDDEN, width);
}

function* attention(name: string): Generator<TensorSpec> {
  yield* quantised(`${name}.q_a_proj`, Q_RANK, HIDDEN);
  yield norm(`${name}.q_a_layernorm`, Q_RANK);
  yield* quantised(`${name}.q_b_proj`, HEADS * (NOPE_WIDTH + ROPE_WIDTH), Q_RANK);
  yield* quantised(`${name}.kv_a_proj_with_mqa`, KV_RANK + ROPE_WIDTH, HIDDEN);
  yield norm(`${name}.kv_a_layernorm`, KV_RANK);
  yield* quantised(`${name}.kv_b_proj`, HEADS * (NOPE_WIDTH + VALUE_WIDTH), KV_RANK);
  yield* quantised(`${name}.o_proj`, HIDDEN, HEADS * VALUE_WIDTH);
}

function* mixtureOfExperts(name: string): Generator<TensorSpec> {
  yield { name: `${name}.gate.weight`, dtype: 'BF16', shape: [ROUTED_EXPERTS, HIDDEN] };
  yield { name: `${name}.gate.e_score_correction_bias`, dtype: 'F32', shape: [ROUTED_EXPERTS] };
  yield* feedForward(`${name}.shared_experts`, EXPERT_WIDTH);
  for (let expert = 0; expert < ROUTED_EXPERTS; expert++) {
    yield* feedForward(`${name}.experts.${expert}`, EXPERT_WIDTH);
  }
}

function* layer(number: number): Generator<TensorSpec> {
  const name = `model.layers.${number}`;
  yield* attention(`${name}.self_attn`);
  if (number < DENSE_LAYERS) yield* feedForward(`${name}.mlp`, DENSE_WIDTH);
  else yield* mixtureOfExperts(`${name}.mlp`);
  yield norm(`${name}.input_layernorm`, HIDDEN);
  yield norm(`${name}.post_attention_layernorm`, HIDDEN);
}

export function* deepSeekV3(): Generator<TensorSpec> {
  yield { name: 'model.embed_tokens.weight', dtype: 'BF16', shape: [VOCABULARY, HIDDEN] };
  for (let number = 0; number < LAYERS + SECOND_TOKEN_LAYERS; number++) yield* layer(number);
  yield norm('model.norm', HIDDEN);
  yield { name: 'lm_head.weight', dtype: 'BF16', shape: [VOCABULARY, HIDDEN] };
}
