import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

/** SHA-256 of a file from a byte on. */
export async function checksumOfFile(path: string, start = 0): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { start, highWaterMark: 2 ** 20 }), hash);
  return hash.digest('hex');
}

/** How many views there are, and the sum of the first word of each. */
export function checksumOfViews(views: readonly ArrayBufferView[]): string {
  const sum = views.reduce((total, { buffer, byteOffset }) => {
    return (total + new Uint32Array(buffer, byteOffset, 1)[0]) | 0;
  }, 0);
  return `${views.length} ${sum >>> 0}`;
}
