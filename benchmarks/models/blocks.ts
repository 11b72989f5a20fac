import type { TensorLike } from 'safetensors-mmap';

/** F32 weights of 4096 × 4096. */
const WIDTH = 4096;
export const BLOCK_BYTES = 4 * WIDTH * WIDTH;

/** Knuth's multiplicative hash: bytes that no file system compresses well. */
const FACTOR = 2654435761;

/** So many layers of a weight and a norm, all in memory; drivers/reference.py makes the same. */
export function blockModel(blocks: number): Map<string, TensorLike> {
  const pattern = Uint32Array.from({ length: WIDTH }, (_, i) => Math.imul(i, FACTOR));
  const tensors = new Map<string, TensorLike>();
  for (let layer = 0; layer < blocks; layer++) {
    const weight = new Uint32Array(WIDTH * WIDTH);
    for (let row = 0; row < WIDTH; row++) weight.set(pattern, row * WIDTH);
    weight[0] = layer;
    const norm = pattern.slice();
    norm[0] = layer;
    tensors.set(`layers.${layer}.weight`, {
      dtype: 'F32',
      shape: [WIDTH, WIDTH],
      data: new Float32Array(weight.buffer),
    });
    tensors.set(`layers.${layer}.norm`, {
      dtype: 'F32',
      shape: [WIDTH],
      data: new Float32Array(norm.buffer),
    });
  }
  return tensors;
}
