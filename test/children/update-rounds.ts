/** Changes the metadata of a file without end, now shorter, now longer; prints a line before it begins. */
import { updateMetadata } from 'safetensors-mmap';

const [path, mostText] = process.argv.slice(2);
const most = Number(mostText);

console.log('begun');
for (let round = 0; ; round++) {
  const length = (round * 37) % most;
  await updateMetadata(path, {
    round: String(round),
    text: 'x'.repeat(length),
    length: `${length}`,
  });
}
