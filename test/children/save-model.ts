/**
 * Saves models into a folder.
 *
 *   once FOLDER GENERATION TENSORS LIMIT STEP   one model; dies before step number STEP of those that
 *                                               change the folder, and prints how many there were if
 *                                               that never came
 *   forever FOLDER GENERATION                   one after the other, of all shapes, until it is killed
 */
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const [mode, folder, first, ...rest] = process.argv.slice(2);
const deadly = mode === 'once' ? Number(rest[2]) : Number.POSITIVE_INFINITY;

let steps = 0;
for (const name of ['rename', 'rm', 'rmdir', 'unlink', 'mkdir', 'open'] as const) {
  const original = promises[name] as (...args: unknown[]) => Promise<unknown>;
  const counted = (...args: unknown[]) => {
    if (++steps === deadly) process.kill(process.pid, 'SIGKILL');
    return original(...args);
  };
  Object.assign(promises, { [name]: counted });
}
syncBuiltinESMExports();

const { saveModel } = await import('safetensors-mmap');

/** Tensors that all say of which model they are. */
function* model(generation: number, tensors: number) {
  const data = Uint32Array.of(generation, tensors);
  for (let i = 0; i < tensors; i++) {
    yield [`tensor ${i}`, { dtype: 'U32', shape: [2], data }] as const;
  }
}

if (mode === 'once') {
  const [tensors, limit] = rest.map(Number);
  await saveModel(model(Number(first), tensors), folder, { maxShardSize: limit });
  console.log(steps);
} else {
  console.log('begun');
  for (let generation = Number(first); ; generation++) {
    const tensors = 1 + (generation % 5);
    const maxShardSize = generation % 3 === 0 ? 1000 : 8;
    await saveModel(model(generation, tensors), folder, { maxShardSize });
  }
}
