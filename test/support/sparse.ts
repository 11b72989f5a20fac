import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { rawFile } from './build.ts';

/** A tensor of U8 that is all hole, but for some bytes at its end. */
export interface SparseTensor {
  name: string;
  byteLength: number;
  /** Its last bytes. */
  tail: Uint8Array;
  /** By default it has one axis. */
  shape?: readonly number[];
}

/** Writes a file that takes hardly any room on the disk; its bytes in all. */
export function writeSparseFile(path: string, tensors: readonly SparseTensor[]): number {
  let end = 0;
  const entries = tensors.map(({ name, byteLength, shape = [byteLength] }) => {
    const begin = end;
    end += byteLength;
    const entry = { dtype: 'U8', shape, data_offsets: [begin, end] };
    return `${JSON.stringify(name)}:${JSON.stringify(entry)}`;
  });
  const json = `{${entries.join(',')}}`;
  const header = rawFile(json.padEnd(Math.ceil(json.length / 8) * 8));
  const descriptor = openSync(path, 'w');
  try {
    writeSync(descriptor, header);
    ftruncateSync(descriptor, header.length + end);
    let position = header.length;
    for (const { byteLength, tail } of tensors) {
      position += byteLength;
      writeSync(descriptor, tail, 0, tail.length, position - tail.length);
    }
  } finally {
    closeSync(descriptor);
  }
  return header.length + end;
}
