import { createWriter } from 'safetensors-mmap';

/** Writes a file of one F32 tensor, all of one value, without having it in memory. */
export async function writeFilled(
  path: string,
  name: string,
  shape: readonly [rows: number, columns: number],
  value: number,
): Promise<void> {
  const writer = await createWriter(path, { [name]: { dtype: 'F32', shape: [...shape] } });
  const row = new Float32Array(shape[1]).fill(value);
  for (let i = 0; i < shape[0]; i++) await writer.write(name, row);
  await writer.finish();
}
