/**
 * A model of more shards than the guard has places to begin with, one of which is cut short; prints what
 * has become of the tensors in views, and how calls end.
 */
import { truncateSync } from 'node:fs';
import { openModel, type SafetensorsError, saveModel, type TensorLike } from 'safetensors-mmap';

const [folder, shardsText, cutText] = process.argv.slice(2);
const SHARDS = Number(shardsText);
const CUT = Number(cutText);
const BYTES = 4 * 4096;

const nameOf = (i: number) => `t${i}`;

const tensors = new Map<string, TensorLike>();
for (let i = 0; i < SHARDS; i++) {
  tensors.set(nameOf(i), { dtype: 'U8', shape: [BYTES], data: new Uint8Array(BYTES).fill(7) });
}
await saveModel(tensors, folder, { maxShardSize: BYTES, fsync: false });

const model = await openModel(folder);
const cut = model.shardOf(nameOf(CUT)).path;
truncateSync(cut, 4096 + 1);
const changed: string[] = [];
for (const [name, { data }] of model) {
  const values = data as Uint8Array;
  if (values[BYTES - 1] !== 7) changed.push(name);
}

const attempts: Record<string, () => unknown> = {
  check: () => model.check(),
  'of that shard': () => model.getTensor(nameOf(CUT)).toFloat32(),
  'of that shard, by views': () => model.getTensor(nameOf(CUT)).slice([null, null, 2]),
  'of the one before': () => model.getTensor(nameOf(CUT - 1)).toFloat32(),
  'of the one behind': () => model.getTensor(nameOf(CUT + 1)).toFloat32(),
  'prefetch all': () => model.prefetch(),
  'prefetch others': () => model.prefetch([nameOf(CUT - 1), nameOf(CUT + 1)]),
};
const ends: Record<string, unknown> = {};
for (const [what, attempt] of Object.entries(attempts)) {
  try {
    await attempt();
    ends[what] = 'done';
  } catch (error) {
    const { code, path, tensor, message } = error as SafetensorsError;
    ends[what] = { code, path, tensor, offset: /byte (\d+)/.exec(message)?.[1] };
  }
}
console.log(JSON.stringify({ shards: model.shards.length, cut, changed, ends }));
