/**
 * The tensors of GPT-2 as `gpt2` on the Hugging Face Hub has them: 148 weights and 12 attention
 * masks, all F32, by their real names and shapes. The values are not the trained ones: they come
 * from a seed, so that nothing has to be downloaded.
 */
export interface TensorSpec {
  readonly name: string;
  readonly shape: readonly number[];
  /** Starts the tensor's values anew. */
  values(): Fill;
}

/** Fills an array with the next values of a tensor, so that it never has to be in memory whole. */
export type Fill = (target: Float32Array) => void;

const VOCABULARY = 50_257;
const CONTEXT = 1024;
const WIDTH = 768;
const LAYERS = 12;

/** Half the range of the values. Trained weights have a deviation of 0.02 at their start. */
const WEIGHT_SPREAD = 0.04;
const BIAS_SPREAD = 0.001;
const NORM_SPREAD = 0.05;

export function* gpt2(): Generator<TensorSpec> {
  yield uniform('wte.weight', [VOCABULARY, WIDTH], 0, WEIGHT_SPREAD);
  yield uniform('wpe.weight', [CONTEXT, WIDTH], 0, WEIGHT_SPREAD);
  for (let layer = 0; layer < LAYERS; layer++) yield* block(`h.${layer}`);
  yield* layerNorm('ln_f');
}

function* block(name: string): Generator<TensorSpec> {
  yield* layerNorm(`${name}.ln_1`);
  yield causalMask(`${name}.attn.bias`);
  yield* linear(`${name}.attn.c_attn`, WIDTH, 3 * WIDTH);
  yield* linear(`${name}.attn.c_proj`, WIDTH, WIDTH);
  yield* layerNorm(`${name}.ln_2`);
  yield* linear(`${name}.mlp.c_fc`, WIDTH, 4 * WIDTH);
  yield* linear(`${name}.mlp.c_proj`, 4 * WIDTH, WIDTH);
}

/** GPT-2 keeps its weights as [inputs, outputs], the transpose of PyTorch's Linear. */
function* linear(name: string, inputs: number, outputs: number): Generator<TensorSpec> {
  yield uniform(`${name}.weight`, [inputs, outputs], 0, WEIGHT_SPREAD);
  yield uniform(`${name}.bias`, [outputs], 0, BIAS_SPREAD);
}

function* layerNorm(name: string): Generator<TensorSpec> {
  yield uniform(`${name}.weight`, [WIDTH], 1, NORM_SPREAD);
  yield uniform(`${name}.bias`, [WIDTH], 0, BIAS_SPREAD);
}

/** Ones on and below the diagonal: a token attends to itself and to what came before. */
function causalMask(name: string): TensorSpec {
  const values = (): Fill => {
    let row = 0;
    let column = 0;
    return (target) => {
      for (let index = 0; index < target.length; index++) {
        target[index] = column <= row ? 1 : 0;
        if (++column === CONTEXT) {
          column = 0;
          row++;
        }
      }
    };
  };
  return { name, shape: [1, 1, CONTEXT, CONTEXT], values };
}

/** Values from `centre - spread` to `centre + spread`, the same for the same name. */
export function uniform(
  name: string,
  shape: readonly number[],
  centre: number,
  spread: number,
): TensorSpec {
  const values = (): Fill => {
    let state = seedOf(name);
    const scale = spread / 2 ** 31;
    return (target) => {
      for (let index = 0; index < target.length; index++) {
        // Marsaglia's xorshift32: good enough for a demo, and 137 million values take 0.3 s.
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        target[index] = centre + state * scale;
      }
    };
  };
  return { name, shape, values };
}

/** FNV-1a of the name; xorshift never leaves 0, so that 0 is not a seed. */
function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash || 1;
}
