/**
 * Converts a PyTorch checkpoint, and prints what that cost, as JSON.
 *
 *   convert FILE OUTPUT plain|verified   convertCheckpoint, without fsync
 *   checksum FILE                        of the data of a safetensors file
 */
import { open } from 'node:fs/promises';
import { convertCheckpoint } from 'safetensors-mmap/convert';
import { checksumOfFile } from './checksums.ts';
import { costOf } from './memory.ts';
import type { SaveResult } from './results.ts';

const LENGTH_BYTES = 8;

function convert(path: string, output: string, verify: boolean): Promise<SaveResult> {
  return costOf(() => convertCheckpoint(path, output, { verify, fsync: false }));
}

/** Headers differ in their metadata. */
async function checksum(path: string): Promise<{ checksum: string }> {
  const file = await open(path);
  const length = Buffer.alloc(LENGTH_BYTES);
  await file.read(length, 0, LENGTH_BYTES, 0);
  await file.close();
  const start = LENGTH_BYTES + Number(length.readBigUInt64LE());
  return { checksum: await checksumOfFile(path, start) };
}

const [task, path, output, mode] = process.argv.slice(2);
const tasks: Record<string, () => Promise<object>> = {
  convert: () => convert(path, output, mode === 'verified'),
  checksum: () => checksum(path),
};
console.log(JSON.stringify(await tasks[task]()));
