/**
 * Tries to save a model over an old one where it must fail; prints the error, whether the old file is
 * as it was, and what else is in the folder. `as-nobody` gives up root's rights first; `truncate`
 * cuts the file short that the tensors are mapped from; `resize` takes away memory that is being written.
 */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { safeOpen, saveFile, serialize, type TensorsLike } from 'safetensors-mmap';
import { modelOf } from './support/models.js';

const NOBODY = 65534;

const [mode, folder, ...rest] = process.argv.slice(2);
const path = join(folder, 'model.safetensors');

/** So much that most of it is still to be written when the first of it has been. */
const MANY_BYTES = 2 ** 28;

/** What is written at once by four lanes, with a header. */
const FOUR_CHUNKS = 31 * 2 ** 20;

async function tensorsOf(source: string, truncatedBefore: boolean): Promise<TensorsLike> {
  writeFileSync(source, serialize(modelOf(1)));
  if (!truncatedBefore) {
    const entry = { dtype: 'U8', shape: [MANY_BYTES], data_offsets: [0, MANY_BYTES] };
    const header = Buffer.from(JSON.stringify({ 'large.0': entry }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(source, Buffer.concat([length, header]));
    truncateSync(source, length.length + header.length + MANY_BYTES); // the data are a hole
  }
  const file = await safeOpen(source);
  if (truncatedBefore) truncateSync(source, 4096);
  return file;
}

let tensors: TensorsLike = modelOf(1);
let onProgress: (() => void) | undefined;
if (mode.startsWith('truncate')) {
  const [source] = rest;
  tensors = await tensorsOf(source, mode === 'truncate-before');
  onProgress = () => truncateSync(source, 4096);
}
if (mode === 'resize') {
  // TypeScript's library has resizable buffers from ES2024 on.
  const Resizable = ArrayBuffer as unknown as new (
    byteLength: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(byteLength: number): void };
  const buffer = new Resizable(FOUR_CHUNKS, { maxByteLength: FOUR_CHUNKS });
  const data = new Uint8Array(buffer, 0, buffer.byteLength).fill(1);
  tensors = { lost: { dtype: 'U8', shape: [data.length], data } };
  // With one thread, all the other writes have been asked for and have not begun.
  onProgress = () => buffer.resize(0);
}
if (mode === 'as-nobody') {
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
}
const old = mode === 'read-only' || mode === 'as-nobody' ? readFileSync(path) : randomBytes(1000);
if (mode !== 'read-only' && mode !== 'as-nobody') writeFileSync(path, old);
let failure: object | undefined;
try {
  await saveFile(tensors, path, { onProgress });
} catch (error) {
  const { name, code, syscall, path: where, tensor, message } = error as Record<string, string>;
  failure = { name, code, syscall, path: where, tensor, message };
}
const whole = readFileSync(path).equals(old);
console.log(JSON.stringify({ failure, whole, files: readdirSync(folder) }));
