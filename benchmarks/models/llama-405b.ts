import type { TensorSpec } from './deepseek-v3.ts';

const HIDDEN = 16_384;
const LAYERS = 126;
const VOCABULARY = 128_256;
const FEED_FORWARD = 53_248;
/** 8 heads of keys and of values, of 128 elements each. */
const KEYS = 1024;

function bf16(name: string, ...shape: number[]): TensorSpec {
  return { name: `${name}.weight`, dtype: 'BF16', shape };
}

/** The 1,137 tensors of Llama 3.1 405B (arXiv 2407.21783, table 3), as `transformers` names them. */
export function* llama405b(): Generator<TensorSpec> {
  yield bf16('model.embed_tokens', VOCABULARY, HIDDEN);
  for (let layer = 0; layer < LAYERS; layer++) {
    const name = `model.layers.${layer}`;
    yield bf16(`${name}.input_layernorm`, HIDDEN);
    yield bf16(`${name}.self_attn.q_proj`, HIDDEN, HIDDEN);
    yield bf16(`${name}.self_attn.k_proj`, KEYS, HIDDEN);
    yield bf16(`${name}.self_attn.v_proj`, KEYS, HIDDEN);
    yield bf16(`${name}.self_attn.o_proj`, HIDDEN, HIDDEN);
    yield bf16(`${name}.post_attention_layernorm`, HIDDEN);
    yield bf16(`${name}.mlp.gate_proj`, FEED_FORWARD, HIDDEN);
    yield bf16(`${name}.mlp.up_proj`, FEED_FORWARD, HIDDEN);
    yield bf16(`${name}.mlp.down_proj`, HIDDEN, FEED_FORWARD);
  }
  yield bf16('model.norm', HIDDEN);
  yield bf16('lm_head', VOCABULARY, HIDDEN);
}
