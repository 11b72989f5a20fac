import * as tf from '@tensorflow/tfjs';
import type { Container } from 'safetensors-mmap';
import { toTensors } from 'safetensors-mmap/tfjs';
import type { Batch, Encoded } from './batch.ts';
import type { EncoderConfig } from './config.ts';
import { layerPrefix, weightsOf } from './layout.ts';

type Weights = ReadonlyMap<string, tf.Tensor>;

/** Added to the scores of tokens that are none: nothing is left of them after the softmax. */
const MASKED = -1e9;

/** The encoder by TensorFlow.js, on its `cpu` backend: F32 weights stay in the mapped file. */
export async function encodeWithTfjs(
  container: Container,
  config: EncoderConfig,
  batch: Batch,
): Promise<Encoded> {
  await tf.setBackend('cpu');
  const names = Array.from(weightsOf(config), ({ name }) => name);
  const weights = await toTensors(tf, container, { names, decode: 'float32' });
  try {
    const [states, embedding] = tf.tidy(() => encode(weights, config, batch));
    const [last_hidden_state, sentence_embedding] = [states, embedding].map((tensor) =>
      tensor.dataSync<'float32'>(),
    );
    tf.dispose([states, embedding]);
    return { last_hidden_state, sentence_embedding };
  } finally {
    tf.dispose(Array.from(weights.values()));
  }
}

function encode(weights: Weights, config: EncoderConfig, batch: Batch): [tf.Tensor, tf.Tensor] {
  const mask = tf.tensor2d(batch.attention_mask.map((row) => [...row]));
  const penalty = tf.mul(tf.sub(1, mask), MASKED).expandDims(1).expandDims(1);
  let states = embeddings(weights, config, batch);
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    states = encoderLayer(weights, config, layerPrefix(layer), states, penalty);
  }
  const kept = tf.mul(states, mask.expandDims(2));
  const mean = tf.div(tf.sum(kept, 1), tf.sum(mask, 1, true));
  return [states, tf.div(mean, tf.norm(mean, 2, -1, true))];
}

function embeddings(weights: Weights, config: EncoderConfig, { input_ids }: Batch): tf.Tensor {
  const ids = tf.tensor2d(
    input_ids.map((row) => [...row]),
    undefined,
    'int32',
  );
  const table = (name: string) => weightOf(weights, `embeddings.${name}_embeddings.weight`);
  const words = tf.gather(table('word'), ids);
  const positions = tf.slice(table('position'), [0, 0], [input_ids[0].length, -1]);
  const type = tf.slice(table('token_type'), [0, 0], [1, -1]);
  const sum = tf.add(tf.add(words, positions), type);
  return layerNorm(weights, 'embeddings.LayerNorm', sum, config.layer_norm_eps);
}

function encoderLayer(
  weights: Weights,
  { hidden_size: hidden, num_attention_heads: heads, layer_norm_eps: epsilon }: EncoderConfig,
  prefix: string,
  states: tf.Tensor,
  penalty: tf.Tensor,
): tf.Tensor {
  const [batch, length] = states.shape;
  const part = (name: string) => {
    const projected = linear(weights, `${prefix}.attention.self.${name}`, states);
    return tf.transpose(projected.reshape([batch, length, heads, hidden / heads]), [0, 2, 1, 3]);
  };
  const products = tf.matMul(part('query'), part('key'), false, true);
  const scores = tf.add(tf.div(products, Math.sqrt(hidden / heads)), penalty);
  const mixed = tf.matMul(tf.softmax(scores), part('value'));
  const context = tf.transpose(mixed, [0, 2, 1, 3]).reshape([batch, length, hidden]);
  const attended = linear(weights, `${prefix}.attention.output.dense`, context);
  const middle = tf.add(attended, states);
  const normal = layerNorm(weights, `${prefix}.attention.output.LayerNorm`, middle, epsilon);
  const inner = gelu(linear(weights, `${prefix}.intermediate.dense`, normal));
  const outer = linear(weights, `${prefix}.output.dense`, inner);
  return layerNorm(weights, `${prefix}.output.LayerNorm`, tf.add(outer, normal), epsilon);
}

/** PyTorch's Linear: a weight of [outputs, inputs], over rows of any number of dimensions. */
function linear(weights: Weights, name: string, states: tf.Tensor): tf.Tensor {
  const weight = weightOf(weights, `${name}.weight`);
  const [outputs, inputs] = weight.shape;
  const product = tf.matMul(states.reshape([-1, inputs]), weight, false, true);
  const rows = tf.add(product, weightOf(weights, `${name}.bias`));
  return rows.reshape([...states.shape.slice(0, -1), outputs]);
}

function layerNorm(weights: Weights, name: string, x: tf.Tensor, epsilon: number): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  const normal = tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, epsilon)));
  const scaled = tf.mul(normal, weightOf(weights, `${name}.weight`));
  return tf.add(scaled, weightOf(weights, `${name}.bias`));
}

function gelu(x: tf.Tensor): tf.Tensor {
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.erf(tf.div(x, Math.SQRT2)), 1));
}

function weightOf(weights: Weights, name: string): tf.Tensor {
  const weight = weights.get(name);
  if (weight === undefined) throw new Error(`no weight ${name}`);
  return weight;
}
