import * as ort from 'onnxruntime-node';
import type { Container } from 'safetensors-mmap';
import { toFeeds } from 'safetensors-mmap/onnxruntime';
import type { Batch, Encoded } from './batch.ts';
import type { EncoderConfig } from './config.ts';
import { encoderGraph, OUTPUTS } from './graph.ts';

/**
 * The encoder by ONNX Runtime. F32 weights are read in the mapped file; others are decoded into new memory
 * first.
 */
export async function encodeWithOnnxRuntime(
  container: Container,
  config: EncoderConfig,
  { input_ids, attention_mask }: Batch,
): Promise<Encoded> {
  const session = await ort.InferenceSession.create(encoderGraph(config));
  try {
    const feeds = {
      ...(await toFeeds(ort, session, container, { decode: 'float32' })),
      input_ids: integers(input_ids),
      attention_mask: integers(attention_mask),
    };
    const outputs = await session.run(feeds, [...OUTPUTS]);
    return {
      last_hidden_state: outputs.last_hidden_state.data as Float32Array,
      sentence_embedding: outputs.sentence_embedding.data as Float32Array,
    };
  } finally {
    await session.release();
  }
}

function integers(rows: readonly (readonly number[])[]): ort.Tensor {
  const values = BigInt64Array.from(rows.flat(), BigInt);
  return new ort.Tensor('int64', values, [rows.length, rows[0].length]);
}
