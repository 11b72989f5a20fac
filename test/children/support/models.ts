import type { TensorLike } from 'safetensors-mmap';

const LARGE_BYTES = 5_000_001;
const LARGE = 4;
const SMALL = 500;

/**
 * A model of some 20 MB, the same for the same seed and different everywhere for another: large
 * tensors that are written one by one, and small ones that are written together.
 */
export function modelOf(seed: number): Map<string, TensorLike> {
  const tensors = new Map<string, TensorLike>();
  for (let i = 0; i < LARGE; i++) {
    const data = new Uint8Array(LARGE_BYTES).fill(seed + i);
    tensors.set(`large.${i}`, { dtype: 'U8', shape: [data.length], data });
  }
  for (let i = 0; i < SMALL; i++) {
    const data = new Float32Array(i % 50).fill(seed + i);
    tensors.set(`small.${i}`, { dtype: 'F32', shape: [data.length], data });
  }
  return tensors;
}
