import { readFile } from 'node:fs/promises';
import { Tokenizer } from '@huggingface/tokenizers';
import * as ort from 'onnxruntime-node';
import {
  type Container,
  deserialize,
  openModel,
  type Residency,
  SafetensorsError,
} from 'safetensors-mmap';
import { toFeeds } from 'safetensors-mmap/onnxruntime';
import type { EncoderConfig } from '../encoder/config.ts';
import { encoderGraph } from '../encoder/graph.ts';
import { checkLayout } from '../encoder/layout.ts';
import { batchesOf } from './batches.ts';
import type { Release } from './messages.ts';
import { type ModelFolder, readModelFolder } from './model-folder.ts';
import type { Loading } from './options.ts';
import { Turns } from './turns.ts';

export interface LoadOptions {
  readonly loading: Loading;
  /** Of ONNX Runtime. */
  readonly threads: number;
}

const OUTPUT = 'sentence_embedding';
/** The first tokens, and as many: a try whether numbers come out. */
const TRIAL_TOKENS = 8;
/** ONNX Runtime computes on this thread: one run after the other, whatever models there are. */
const turns = new Turns();
/** An embedding has the length 1: as near as F32 comes to it. */
const LENGTH_TOLERANCE = 1e-3;

/**
 * A model in memory, and the session that runs it. F32 weights are inputs of the session and stay in the
 * mapped file, so that all processes share them; others are decoded into this process's memory.
 */
export class Embedder {
  readonly release: Release;
  readonly config: EncoderConfig;
  readonly #container: Container;
  readonly #session: ort.InferenceSession;
  readonly #weights: Readonly<Record<string, ort.Tensor>>;
  readonly #tokenizer: Tokenizer | undefined;

  private constructor(
    release: Release,
    folder: ModelFolder,
    container: Container,
    session: ort.InferenceSession,
    weights: Readonly<Record<string, ort.Tensor>>,
  ) {
    this.release = release;
    this.config = folder.config;
    this.#container = container;
    this.#session = session;
    this.#weights = weights;
    this.#tokenizer = tokenizerOf(folder);
  }

  /**
   * Opens a release, reads it into memory, and makes sure that it answers.
   * @throws {SafetensorsError} FILE_CHANGED when the files are others by now; whatever the format refuses
   * @throws {Error} when they are no encoder, or one whose answers are no numbers
   */
  static async load(release: Release, options: LoadOptions): Promise<Embedder> {
    const folder = await readModelFolder(release.path);
    if (folder.digest !== release.digest) {
      const { path } = release;
      throw new SafetensorsError('FILE_CHANGED', 'config or tokenizer have changed', { path });
    }
    const container = await open(release, options);
    let session: ort.InferenceSession | undefined;
    try {
      checkLayout(container, folder.config);
      await container.prefetch();
      session = await ort.InferenceSession.create(encoderGraph(folder.config), {
        intraOpNumThreads: options.threads,
      });
      const weights = await toFeeds(ort, session, container, { decode: 'float32' });
      const embedder = new Embedder(release, folder, container, session, weights);
      await embedder.#tryOut();
      container.check();
      return embedder;
    } catch (error) {
      await session?.release();
      container.close();
      throw error;
    }
  }

  get readsText(): boolean {
    return this.#tokenizer !== undefined;
  }

  /** @throws {Error} unless {@link readsText} */
  tokenize(text: string): number[] {
    if (this.#tokenizer === undefined) throw new Error('the model has no tokenizer.json');
    return this.#tokenizer.encode(text).ids;
  }

  /**
   * An embedding of each text, a text being its tokens. Blocks this thread while it computes a batch; requests take
   * turns by the batch.
   * @throws {SafetensorsError} FILE_CHANGED when weights are lost, of a file that was cut short
   */
  async embed(
    texts: readonly (readonly number[])[],
    signal?: AbortSignal,
  ): Promise<Float32Array[]> {
    const { hidden_size } = this.config;
    const embeddings: Float32Array[] = [];
    for (const { ids, mask, rows, columns } of batchesOf(texts)) {
      const tensor = (values: BigInt64Array) => new ort.Tensor('int64', values, [rows, columns]);
      const feeds = { ...this.#weights, input_ids: tensor(ids), attention_mask: tensor(mask) };
      const outputs = await turns.take(() => this.#session.run(feeds, [OUTPUT]), signal);
      // ONNX Runtime reads zeros where the mapped file has lost pages, and computes with them.
      this.#container.assertIntact();
      const data = outputs[OUTPUT].data as Float32Array;
      for (let row = 0; row < rows; row++) {
        embeddings.push(data.subarray(row * hidden_size, (row + 1) * hidden_size));
      }
    }
    return embeddings;
  }

  /** Whether all weights that were read were there. */
  get isIntact(): boolean {
    try {
      this.#container.assertIntact();
      return true;
    } catch {
      return false;
    }
  }

  /** How much of the weights is in memory. */
  residency(): Promise<Residency> {
    return this.#container.residency();
  }

  /** Only when nothing is being embedded: ONNX Runtime reads the weights where they are. */
  async close(): Promise<void> {
    await this.#session.release();
    this.#container.close();
  }

  async #tryOut(): Promise<void> {
    const tokens = Array.from({ length: TRIAL_TOKENS }, (_, i) => i % this.config.vocab_size);
    const [embedding] = await this.embed([tokens.slice(0, this.config.max_position_embeddings)]);
    const length = Math.hypot(...embedding);
    if (Math.abs(length - 1) < LENGTH_TOLERANCE) return;
    throw new Error(`an embedding has the length ${length}, not 1: the weights are no good`);
  }
}

async function open({ path, version }: Release, { loading }: LoadOptions): Promise<Container> {
  const model = await openModel(path, { version });
  if (loading === 'mmap') return model;
  // To compare with: each process has the weights in memory of its own.
  using found = model;
  const [{ path: file }, ...others] = found.shards;
  if (others.length > 0) throw new Error('--loading readFile is for models of one file');
  return deserialize(await readFile(file));
}

function tokenizerOf({ tokenizer, tokenizerConfig }: ModelFolder): Tokenizer | undefined {
  if (tokenizer === undefined) return undefined;
  return new Tokenizer(JSON.parse(tokenizer), JSON.parse(tokenizerConfig ?? '{}'));
}
