/** Saves models of the seeds in turn, over and over; prints a line before each of them. */
import { saveFile } from 'safetensors-mmap';
import { modelOf } from './support/models.js';

const [path, rounds, fsync, ...seeds] = process.argv.slice(2);
const models = seeds.map((seed) => modelOf(Number(seed)));

for (let round = 0; round < Number(rounds); round++) {
  console.log(`saves ${round}`);
  await saveFile(models[round % models.length], path, { fsync: fsync === 'fsync' });
}
