/** Opens a file, cuts it in half, and slices what is lost; prints the error. */
import { statSync, truncateSync } from 'node:fs';
import { type SafetensorsError, type SliceRange, safeOpenSync } from 'safetensors-mmap';

const [path, way] = process.argv.slice(2);
const tensor = safeOpenSync(path).getTensor('x');
truncateSync(path, statSync(path).size / 2);
const ranges: SliceRange[] = [null, [0, 100]];
try {
  if (way === 'async') await tensor.sliceAsync(ranges);
  else tensor.slice(...ranges);
  console.log('{}');
} catch (error) {
  const { code, tensor } = error as SafetensorsError;
  console.log(JSON.stringify({ code, tensor }));
}
