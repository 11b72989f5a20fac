import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { NotMeasured } from '../harness/trial.ts';
import type { TensorSpec } from '../models/deepseek-v3.ts';

const LENGTH_BYTES = 8;
/** Writers pad the header with spaces to a multiple of this. */
const ALIGNMENT = 8;
const BYTES_PER_ELEMENT = { BF16: 2, F32: 4, F8_E4M3: 1 };

export interface Header {
  /** The header, padded, with its length before it. */
  bytes: Buffer;
  /** Bytes of the tensors together. */
  dataLength: number;
}

export function bytesOf({ dtype, shape }: TensorSpec): number {
  return shape.reduce((a, b) => a * b, BYTES_PER_ELEMENT[dtype]);
}

/** The header of a file that holds these tensors one after the other. */
export function headerOf(
  specs: Iterable<TensorSpec>,
  metadata?: Readonly<Record<string, string>>,
): Header {
  let end = 0;
  const entries: string[] = [];
  if (metadata) entries.push(`"__metadata__":${JSON.stringify(metadata)}`);
  for (const spec of specs) {
    const { name, dtype, shape } = spec;
    const begin = end;
    end += bytesOf(spec);
    entries.push(`${JSON.stringify(name)}:${entry(dtype, shape, begin, end)}`);
  }
  return { bytes: framed(`{${entries.join(',')}}`), dataLength: end };
}

/**
 * The header of a small file whose entries are byte for byte as long, and as many, as those of
 * `specs`, and as different: of each shape the last dimension stays, so that there are as many numbers to
 * read and few that repeat. The others are 1, and a name is longer by what they and the offsets save.
 */
export function smallHeaderLike(specs: Iterable<TensorSpec>): Header {
  let largeEnd = 0;
  let end = 0;
  const entries: string[] = [];
  for (const spec of specs) {
    const { name, dtype, shape } = spec;
    const [largeBegin, begin] = [largeEnd, end];
    const smallShape = shape.map((length, axis) => (axis === shape.length - 1 ? length : 1));
    largeEnd += bytesOf(spec);
    end += bytesOf({ ...spec, shape: smallShape });
    const small = entry(dtype, smallShape, begin, end);
    const saved = entry(dtype, shape, largeBegin, largeEnd).length - small.length;
    entries.push(`${JSON.stringify(name + '_'.repeat(saved))}:${small}`);
  }
  return { bytes: framed(`{${entries.join(',')}}`), dataLength: end };
}

function entry(dtype: string, shape: number[], begin: number, end: number): string {
  return `{"dtype":"${dtype}","shape":[${shape}],"data_offsets":[${begin},${end}]}`;
}

function framed(json: string): Buffer {
  const length = Math.ceil(json.length / ALIGNMENT) * ALIGNMENT;
  const bytes = Buffer.alloc(LENGTH_BYTES + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.write(json, LENGTH_BYTES);
  return bytes;
}

/**
 * Writes a complete file whose data is a hole: it reads as zeros and takes no space on the disk.
 * @throws {NotMeasured} where the file system has no holes, or no files as long as that
 */
export async function writeModelFile(path: string, { bytes, dataLength }: Header): Promise<void> {
  const descriptor = openSync(path, 'w');
  try {
    writeSync(descriptor, bytes);
    ftruncateSync(descriptor, bytes.length + dataLength);
    const onDisk = fstatSync(descriptor).blocks * 512;
    if (onDisk > 2 * bytes.length + 2 ** 20) throw new Error(`it takes ${onDisk} bytes`);
  } catch (error) {
    const { type } = await statfs(dirname(path));
    throw new NotMeasured(
      `no sparse file of ${bytes.length + dataLength} bytes on a file system of type ` +
        `0x${type.toString(16)}: ${(error as Error).message}`,
    );
  } finally {
    closeSync(descriptor);
  }
}
