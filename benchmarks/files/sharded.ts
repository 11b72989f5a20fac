import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TensorSpec } from '../models/deepseek-v3.ts';
import { bytesOf, headerOf, writeModelFile } from './model-file.ts';

/** The order of the reference's writer, as far as these models have dtypes. */
const DTYPE_ORDER = ['F32', 'BF16', 'F8_E4M3'];

/**
 * Writes a model of so many shards of about the same size, and its index, as `huggingface_hub` and the
 * reference would: tensors go into shards in the order given, which is the order of the index; within a
 * shard they are in the order of the reference's writer. The data are holes.
 *
 * Returns the path of the index.
 */
export async function writeShards(
  folder: string,
  specs: Iterable<TensorSpec>,
  count: number,
): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const all = [...specs];
  const totalSize = all.reduce((sum, spec) => sum + bytesOf(spec), 0);
  const shards: TensorSpec[][] = Array.from({ length: count }, () => []);
  let begin = 0;
  for (const spec of all) {
    shards[Math.floor((begin / totalSize) * count)].push(spec);
    begin += bytesOf(spec);
  }
  const weightMap: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const name = `model-${digits(i + 1)}-of-${digits(count)}.safetensors`;
    for (const spec of shard) weightMap[spec.name] = name;
    const header = headerOf(inWritersOrder(shard), { format: 'pt' });
    await writeModelFile(join(folder, name), header);
  }
  const index = { metadata: { total_size: totalSize }, weight_map: weightMap };
  const path = join(folder, 'model.safetensors.index.json');
  writeFileSync(path, JSON.stringify(index, undefined, 2));
  return path;
}

function digits(number: number): string {
  return String(number).padStart(5, '0');
}

function inWritersOrder(specs: readonly TensorSpec[]): TensorSpec[] {
  return specs.toSorted(
    (a, b) =>
      DTYPE_ORDER.indexOf(a.dtype) - DTYPE_ORDER.indexOf(b.dtype) ||
      Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)),
  );
}
