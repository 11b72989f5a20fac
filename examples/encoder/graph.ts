import type { EncoderConfig } from './config.ts';
import { layerPrefix, weightsOf } from './layout.ts';
import { GraphBuilder } from './onnx-model.ts';

/** What the encoder takes besides its weights: [batch, sequence] each. */
export const INPUTS = ['input_ids', 'attention_mask'] as const;
/** What it gives: [batch, sequence, hidden]; and the mean over a text, of length 1: [batch, hidden]. */
export const OUTPUTS = ['last_hidden_state', 'sentence_embedding'] as const;

/** Added to the scores of tokens that are none: nothing is left of them after the softmax. */
const MASKED = -1e9;

/**
 * The encoder as an ONNX model of a few kilobytes, whose weights are inputs by the names that they have in
 * the checkpoint. ONNX Runtime reads inputs where they are: weights that are views of a mapped file stay
 * there, and other weights need no other session. As constants of the model they would be copied into the
 * session, and packed once more for its multiplications.
 */
export function encoderGraph(config: EncoderConfig): Uint8Array {
  const { hidden_size: hidden, num_attention_heads: heads } = config;
  const graph = new GraphBuilder();
  for (const name of INPUTS) graph.input(name, 'int64', ['batch', 'sequence']);
  for (const { name, shape } of weightsOf(config)) graph.input(name, 'float', shape);

  const size = graph.node('Shape', ['input_ids']);
  const mask = maskOf(graph);
  // Of [batch, sequence, hidden], rows of [batch * sequence, hidden]: Gemm takes weights as they are saved.
  let rows = graph.node('Reshape', [embeddings(graph, config, size), graph.ints(-1, hidden)]);
  const headSize = graph.ints(heads, hidden / heads);
  const split = graph.node('Concat', [size, headSize], { axis: { int: 0 } });
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    rows = encoderLayer(graph, config, layerPrefix(layer), { rows, split, mask: mask.scores });
  }
  const shape = graph.node('Concat', [size, graph.ints(hidden)], { axis: { int: 0 } });
  const states = graph.node('Reshape', [rows, shape], {}, 'last_hidden_state');
  graph.output('last_hidden_state', 'float', ['batch', 'sequence', hidden]);
  pooling(graph, states, mask.tokens);
  graph.output('sentence_embedding', 'float', ['batch', hidden]);
  return graph.finish('encoder');
}

/** The mask as numbers, and what it adds to the scores of attention. */
function maskOf(graph: GraphBuilder): { tokens: string; scores: string } {
  const tokens = graph.node('Cast', ['attention_mask'], { to: { int: 1 } });
  const missing = graph.node('Sub', [graph.float(1), tokens]);
  const penalty = graph.node('Mul', [missing, graph.float(MASKED)]);
  return { tokens, scores: graph.node('Unsqueeze', [penalty, graph.ints(1, 2)]) };
}

/** Of words, positions and the first of the token types: [batch, sequence, hidden]. */
function embeddings(graph: GraphBuilder, config: EncoderConfig, size: string): string {
  const words = graph.node('Gather', ['embeddings.word_embeddings.weight', 'input_ids']);
  const length = graph.node('Slice', [size, graph.ints(1), graph.ints(2)]);
  const table = 'embeddings.position_embeddings.weight';
  const positions = graph.node('Slice', [table, graph.ints(0), length]);
  const type = graph.node('Gather', ['embeddings.token_type_embeddings.weight', graph.int(0)]);
  const sum = graph.node('Add', [graph.node('Add', [words, positions]), type]);
  return layerNorm(graph, config, 'embeddings.LayerNorm', sum);
}

interface LayerInputs {
  rows: string;
  split: string;
  mask: string;
}

function encoderLayer(
  graph: GraphBuilder,
  config: EncoderConfig,
  prefix: string,
  { rows, split, mask }: LayerInputs,
): string {
  const { hidden_size: hidden, num_attention_heads: heads } = config;
  const part = (name: string, ...order: number[]) => {
    const projected = linear(graph, `${prefix}.attention.self.${name}`, rows);
    const shared = graph.node('Reshape', [projected, split]);
    return graph.node('Transpose', [shared], { perm: { ints: order } });
  };
  const queries = part('query', 0, 2, 1, 3);
  const keys = part('key', 0, 2, 3, 1);
  const values = part('value', 0, 2, 1, 3);
  const products = graph.node('MatMul', [queries, keys]);
  const scaled = graph.node('Mul', [products, graph.float(1 / Math.sqrt(hidden / heads))]);
  const scores = graph.node('Add', [scaled, mask]);
  const shares = graph.node('Softmax', [scores], { axis: { int: -1 } });
  const mixed = graph.node('MatMul', [shares, values]);
  const joined = graph.node('Transpose', [mixed], { perm: { ints: [0, 2, 1, 3] } });
  const context = graph.node('Reshape', [joined, graph.ints(-1, hidden)]);
  const attended = linear(graph, `${prefix}.attention.output.dense`, context);
  const middle = graph.node('Add', [attended, rows]);
  const normal = layerNorm(graph, config, `${prefix}.attention.output.LayerNorm`, middle);
  const inner = graph.node('Gelu', [linear(graph, `${prefix}.intermediate.dense`, normal)]);
  const outer = linear(graph, `${prefix}.output.dense`, inner);
  const sum = graph.node('Add', [outer, normal]);
  return layerNorm(graph, config, `${prefix}.output.LayerNorm`, sum);
}

/** As sentence-transformers does it: the mean of the tokens that are there, of length 1. */
function pooling(graph: GraphBuilder, states: string, tokens: string): void {
  const weights = graph.node('Unsqueeze', [tokens, graph.ints(2)]);
  const kept = graph.node('Mul', [states, weights]);
  const sum = graph.node('ReduceSum', [kept, graph.ints(1)], { keepdims: { int: 0 } });
  const count = graph.node('ReduceSum', [tokens, graph.ints(1)]);
  const mean = graph.node('Div', [sum, graph.node('Max', [count, graph.float(1e-9)])]);
  graph.node('LpNormalization', [mean], { axis: { int: -1 } }, 'sentence_embedding');
}

/** PyTorch's Linear: a weight of [outputs, inputs], not turned around before. */
function linear(graph: GraphBuilder, name: string, rows: string): string {
  return graph.node('Gemm', [rows, `${name}.weight`, `${name}.bias`], { transB: { int: 1 } });
}

function layerNorm(
  graph: GraphBuilder,
  config: EncoderConfig,
  name: string,
  values: string,
): string {
  const attributes = { axis: { int: -1 }, epsilon: { float: config.layer_norm_eps } };
  return graph.node('LayerNormalization', [values, `${name}.weight`, `${name}.bias`], attributes);
}
