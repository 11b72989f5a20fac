/**
 * Changes the metadata of a file without end, now shorter, now longer, by STEP bytes modulo MOST; prints a line
 * before it begins.
 *
 *   PATH MOST [STEP]
 */
import { updateMetadata } from 'safetensors-mmap';

const [path, mostText, stepText = '37'] = process.argv.slice(2);
const [most, step] = [Number(mostText), Number(stepText)];

console.log('begun');
for (let round = 0; ; round++) {
  const length = (round * step) % most;
  await updateMetadata(path, {
    round: String(round),
    text: 'x'.repeat(length),
    length: `${length}`,
  });
}
