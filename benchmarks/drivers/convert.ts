/**
 * Converts a PyTorch checkpoint, and prints what that cost, as JSON.
 *
 *   convert FILE OUTPUT plain|verified   convertCheckpoint, without fsync
 *   checksum FILE                        of the data of a safetensors file
 */
import { createHash } from 'node:crypto';
import { createReadStream, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { convertCheckpoint } from 'safetensors-mmap/convert';
import type { SaveResult } from './results.ts';

const MEMORY_INTERVAL_MS = 2;
const LENGTH_BYTES = 8;

/** Memory that is the process's own: pages of mapped files, which the system may drop, are not. */
function ownMemory(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1]);
}

async function convert(path: string, output: string, verify: boolean): Promise<SaveResult> {
  const before = ownMemory();
  let peak = before;
  const sampling = setInterval(() => {
    peak = Math.max(peak, ownMemory());
  }, MEMORY_INTERVAL_MS);
  const start = performance.now();
  await convertCheckpoint(path, output, { verify, fsync: false });
  const time = performance.now() - start;
  clearInterval(sampling);
  return { time, memory: peak - before };
}

/** Headers differ in their metadata. */
async function checksum(path: string): Promise<{ checksum: string }> {
  const file = await open(path);
  const length = Buffer.alloc(LENGTH_BYTES);
  await file.read(length, 0, LENGTH_BYTES, 0);
  await file.close();
  const start = LENGTH_BYTES + Number(length.readBigUInt64LE());
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { start, highWaterMark: 2 ** 20 }), hash);
  return { checksum: hash.digest('hex') };
}

const [task, path, output, mode] = process.argv.slice(2);
const tasks: Record<string, () => Promise<object>> = {
  convert: () => convert(path, output, mode === 'verified'),
  checksum: () => checksum(path),
};
console.log(JSON.stringify(await tasks[task]()));
