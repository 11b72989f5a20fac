import type { Container } from 'safetensors-mmap';
import type { EncoderConfig } from './config.ts';

/** A tensor that the encoder needs, by its name in BERT's checkpoints. */
export interface Weight {
  readonly name: string;
  readonly shape: readonly number[];
}

/** Dtypes that an encoder's weights are saved in. */
const DTYPES: readonly string[] = ['F32', 'F16', 'BF16'];

/** The weights of an encoder, as sentence-transformers' MiniLM and `BertModel` name them. */
export function* weightsOf(config: EncoderConfig): Generator<Weight> {
  const { hidden_size: hidden, intermediate_size: inner } = config;
  yield weight('embeddings.word_embeddings.weight', config.vocab_size, hidden);
  yield weight('embeddings.position_embeddings.weight', config.max_position_embeddings, hidden);
  yield weight('embeddings.token_type_embeddings.weight', config.type_vocab_size, hidden);
  yield* layerNorm('embeddings.LayerNorm', hidden);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const prefix = layerPrefix(layer);
    for (const part of ['query', 'key', 'value']) {
      yield* linear(`${prefix}.attention.self.${part}`, hidden, hidden);
    }
    yield* linear(`${prefix}.attention.output.dense`, hidden, hidden);
    yield* layerNorm(`${prefix}.attention.output.LayerNorm`, hidden);
    yield* linear(`${prefix}.intermediate.dense`, inner, hidden);
    yield* linear(`${prefix}.output.dense`, hidden, inner);
    yield* layerNorm(`${prefix}.output.LayerNorm`, hidden);
  }
}

export function layerPrefix(layer: number): string {
  return `encoder.layer.${layer}`;
}

/**
 * Makes sure that a container has all weights of an encoder, and in the shapes of its config.json. It may
 * have more: `pooler.dense.weight`, `embeddings.position_ids`.
 *
 * @throws {SafetensorsError} TENSOR_NOT_FOUND
 * @throws {Error} for another shape, or a dtype that is none of floats
 */
export function checkLayout(container: Container, config: EncoderConfig): void {
  for (const { name, shape } of weightsOf(config)) {
    const found = container.info(name);
    if (found.shape.join() !== shape.join()) {
      throw new Error(`${name} has the shape [${found.shape}], and config.json means [${shape}]`);
    }
    if (!DTYPES.includes(found.dtype)) {
      throw new Error(`${name} is ${found.dtype}, not one of ${DTYPES.join(', ')}`);
    }
  }
}

function weight(name: string, ...shape: number[]): Weight {
  return { name, shape };
}

/** PyTorch's Linear keeps its weight as [outputs, inputs]. */
function* linear(name: string, outputs: number, inputs: number): Generator<Weight> {
  yield weight(`${name}.weight`, outputs, inputs);
  yield weight(`${name}.bias`, outputs);
}

function* layerNorm(name: string, width: number): Generator<Weight> {
  yield weight(`${name}.weight`, width);
  yield weight(`${name}.bias`, width);
}
