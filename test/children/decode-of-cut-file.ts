/** Opens a file, cuts it in half, and decodes what is lost; prints the errors. */
import { statSync, truncateSync } from 'node:fs';
import {
  decodeBlockScaled,
  decodeMxfp4Async,
  type SafetensorsError,
  safeOpenSync,
} from 'safetensors-mmap';

const [path] = process.argv.slice(2);
const file = safeOpenSync(path);
const tensor = file.getTensor('x');
const [rows] = tensor.shape;
truncateSync(path, statSync(path).size / 2);
const scale = { dtype: 'F32', shape: [rows, 1], data: new Float32Array(rows) } as const;
const exponents = { dtype: 'U8', shape: [rows], data: new Uint8Array(rows) } as const;
const works: (() => unknown)[] = [
  () => tensor.toFloat32(),
  () => tensor.toFloat32Async(),
  () => decodeBlockScaled(tensor, scale, { blockSize: [1, 16] }),
  () => decodeMxfp4Async(file.getTensor('blocks'), exponents),
];
const codes: string[] = [];
for (const work of works) {
  try {
    await work();
    codes.push('none');
  } catch (error) {
    codes.push((error as SafetensorsError).code);
  }
}
console.log(JSON.stringify(codes));
