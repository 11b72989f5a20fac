import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, buildFile, type TensorSource } from './build.ts';

export const INDEX = 'model.safetensors.index.json';

/** `model-00001-of-00003.safetensors` and so on. */
export function shardName(number: number, of: number): string {
  const digits = (value: number) => String(value).padStart(5, '0');
  return `model-${digits(number)}-of-${digits(of)}.safetensors`;
}

export interface ModelSource {
  /** The tensors of each shard, by the names of their files. */
  shards: Readonly<Record<string, readonly TensorSource[]>>;
  /** The index; by default that of the shards. */
  index?: string | Uint8Array;
  options?: Readonly<Record<string, BuildOptions>>;
}

export function indexOf(weightMap: readonly (readonly [name: string, file: string])[]): string {
  const entries = weightMap.map(
    ([name, file]) => `${JSON.stringify(name)}:${JSON.stringify(file)}`,
  );
  return `{"metadata":{"total_size":1},"weight_map":{${entries.join(',')}}}`;
}

/** Writes shards and an index into a folder, which is made; returns its path. */
export function writeModel(folder: string, { shards, index, options = {} }: ModelSource): string {
  mkdirSync(folder, { recursive: true });
  const weightMap: [string, string][] = [];
  for (const [file, tensors] of Object.entries(shards)) {
    writeFileSync(join(folder, file), buildFile(tensors, options[file]));
    for (const { name } of tensors) weightMap.push([name, file]);
  }
  writeFileSync(join(folder, INDEX), index ?? indexOf(weightMap));
  return folder;
}

/** A tensor of bytes. */
export function u8(name: string, ...bytes: number[]): TensorSource {
  return { name, dtype: 'U8', shape: [bytes.length], data: Uint8Array.from(bytes) };
}
