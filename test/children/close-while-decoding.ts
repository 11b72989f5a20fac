/**
 * Closes a mapped file while other threads decode it, again and again, at different moments; prints how
 * often the results were there and how often the container was closed before. An address that is no
 * longer mapped would end the process.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  decodeBlockScaledAsync,
  type SafetensorsError,
  safeOpen,
  saveFile,
} from 'safetensors-mmap';

const [path, roundsText] = process.argv.slice(2);
const SHAPE = [6400, 1024];
const data = new Float64Array(SHAPE[0] * SHAPE[1]).fill(1.5);
const weight = new Uint8Array(SHAPE[0] * SHAPE[1]).fill(0x38);
await saveFile(
  {
    x: { dtype: 'F64', shape: SHAPE, data },
    weight: { dtype: 'F8_E4M3', shape: SHAPE, data: weight },
    scale: { dtype: 'F32', shape: [50, 8], data: new Float32Array(50 * 8).fill(1.5) },
  },
  path,
);

const counts = { decoded: 0, closed: 0 };

async function outcome(promise: Promise<Float32Array>): Promise<void> {
  try {
    const values = await promise;
    for (let i = 0; i < values.length; i += 997) {
      if (values[i] !== 1.5) throw new Error(`wrong result ${i}`);
    }
    counts.decoded++;
  } catch (error) {
    if ((error as SafetensorsError).code !== 'ERR_SAFETENSORS_CLOSED') throw error;
    counts.closed++;
  }
}

for (let round = 0; round < Number(roundsText); round++) {
  const file = await safeOpen(path);
  const outcomes = [
    outcome(file.getTensor('x').toFloat32Async()),
    outcome(decodeBlockScaledAsync(file.getTensor('weight'), file.getTensor('scale'))),
  ];
  for (let turn = 0; turn < round % 8; turn++) await nextTurn();
  file.close();
  await Promise.all(outcomes);
}
console.log(JSON.stringify(counts));
