import { join } from 'node:path';
import { gpt2 } from '../../examples/demo/gpt2.ts';
import { headerOf, smallHeaderLike, writeModelFile } from '../files/model-file.ts';
import { writeShards } from '../files/sharded.ts';
import type { Weights } from '../files/weights.ts';
import type { Setting } from '../harness/trial.ts';
import { deepSeekV3, type TensorSpec } from '../models/deepseek-v3.ts';
import { llama405b } from '../models/llama-405b.ts';

const SHARDS = 163;
/** Tensors of one of the 163 shards of DeepSeek-V3; their header has 73 KB. */
const SHARD_TENSORS = 565;
/** Where the experts of a layer begin that has them all. */
const SHARD_START = 40_000;

async function written(folder: string, name: string, header: Parameters<typeof writeModelFile>[1]) {
  const path = join(folder, `${name}.safetensors`);
  await writeModelFile(path, header);
  return path;
}

/** 91,985 tensors in 685 GB, all in one file. */
export function deepSeekFile(folder: string): Promise<string> {
  return written(folder, 'deepseek-v3', headerOf(deepSeekV3()));
}

/** The same tensors in 163 shards, as published; the folder. */
export async function deepSeekShards(folder: string): Promise<string> {
  const model = join(folder, 'deepseek-v3');
  await writeShards(model, deepSeekV3(), SHARDS);
  return model;
}

/** As many tensors, and as many bytes of header, in a small file. */
export function smallFileLikeDeepSeek(folder: string): Promise<string> {
  return written(folder, 'same-header', smallHeaderLike(deepSeekV3()));
}

export function shardFile(folder: string): Promise<string> {
  const specs: TensorSpec[] = [...deepSeekV3()].slice(SHARD_START, SHARD_START + SHARD_TENSORS);
  return written(folder, 'shard', headerOf(specs));
}

/** The 160 tensors of GPT-2, as the demo writes them: a small and ordinary file. */
export function gpt2File(folder: string): Promise<string> {
  const specs = Array.from(
    gpt2(),
    ({ name, shape }): TensorSpec => ({ name, dtype: 'F32', shape: [...shape] }),
  );
  return written(folder, 'gpt-2', headerOf(specs));
}

/** 1,137 tensors in 812 GB. */
export function llamaFile(folder: string): Promise<string> {
  return written(folder, 'llama-405b', headerOf(llama405b()));
}

const MIB = 2 ** 20;

/** Files with real data: how many tensors of 16 MiB (1 MiB in tests of the suite) they have. */
const WEIGHTS = {
  /** 1.0 GB. */
  shared: { full: 60, quick: 16 },
  /** 2.0 GB, which fs.readFile still takes. */
  whole: { full: 119, quick: 16 },
  /** 4.3 GB. */
  large: { full: 256, quick: 32 },
};
const TINY_TENSORS = 4;

export function weights({ quick, tiny }: Setting, kind: keyof typeof WEIGHTS): Weights {
  if (tiny) return { tensors: TINY_TENSORS, tensorBytes: MIB };
  const { full, quick: few } = WEIGHTS[kind];
  return { tensors: quick ? few : full, tensorBytes: 16 * MIB };
}
