import type { TensorSpec } from './deepseek-v3.ts';

const WIDTH = 768;
const LAYERS = 12;
const VOCABULARY = 50_257;
const POSITIONS = 1024;

function f32(name: string, ...shape: number[]): TensorSpec {
  return { name, dtype: 'F32', shape };
}

function* affine(name: string, rows: number, columns: number): Generator<TensorSpec> {
  yield f32(`${name}.weight`, rows, columns);
  yield f32(`${name}.bias`, columns);
}

function* norm(name: string): Generator<TensorSpec> {
  yield f32(`${name}.weight`, WIDTH);
  yield f32(`${name}.bias`, WIDTH);
}

/** The 148 weights of GPT-2 (124M), as `transformers` names them; a small and ordinary file. */
export function* gpt2(): Generator<TensorSpec> {
  yield f32('wte.weight', VOCABULARY, WIDTH);
  yield f32('wpe.weight', POSITIONS, WIDTH);
  for (let layer = 0; layer < LAYERS; layer++) {
    yield* norm(`h.${layer}.ln_1`);
    yield* affine(`h.${layer}.attn.c_attn`, WIDTH, 3 * WIDTH);
    yield* affine(`h.${layer}.attn.c_proj`, WIDTH, WIDTH);
    yield* norm(`h.${layer}.ln_2`);
    yield* affine(`h.${layer}.mlp.c_fc`, WIDTH, 4 * WIDTH);
    yield* affine(`h.${layer}.mlp.c_proj`, 4 * WIDTH, WIDTH);
  }
  yield* norm('ln_f');
}
