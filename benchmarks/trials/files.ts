import { join } from 'node:path';
import { headerOf, smallHeaderLike, writeModelFile } from '../files/model-file.ts';
import { writeShards } from '../files/sharded.ts';
import { deepSeekV3, type TensorSpec } from '../models/deepseek-v3.ts';
import { gpt2 } from '../models/gpt-2.ts';

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

export function gpt2File(folder: string): Promise<string> {
  return written(folder, 'gpt-2', headerOf(gpt2()));
}
