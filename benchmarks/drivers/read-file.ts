/** What one would write without this package, shared by the drivers that compare with it. */
import { open, readFile, stat } from 'node:fs/promises';

const LENGTH_BYTES = 8;
/** fs.readFile refuses more: ERR_FS_FILE_TOO_LARGE, kIoMaxLength in Node's lib/internal/fs/utils.js. */
const LONGEST_READ_FILE = 2 ** 31 - 1;
/** What one positioned read takes at most. */
const LONGEST_READ = 2 ** 30;

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Whether fs.readFile takes it. */
export async function isReadable(path: string): Promise<boolean> {
  return (await stat(path)).size <= LONGEST_READ_FILE;
}

export async function readWhole(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const { buffer, byteOffset, byteLength } = await readFile(path);
  return new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength);
}

/** Views of the tensors of a file that is in memory. */
export function viewsOf(bytes: Uint8Array<ArrayBuffer>): Map<string, Uint32Array> {
  const { buffer, byteOffset } = bytes;
  const length = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
  const dataStart = byteOffset + LENGTH_BYTES + length;
  const views = new Map<string, Uint32Array>();
  for (const [name, { data_offsets: offsets }] of entriesOf(
    bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + length),
  )) {
    const [begin, end] = offsets;
    views.set(name, new Uint32Array(buffer, dataStart + begin, (end - begin) / 4));
  }
  return views;
}

/** Every tensor into memory of its own: no file is too long for that. */
export async function readTensors(path: string): Promise<Uint32Array[]> {
  await using file = await open(path);
  const length = new BigUint64Array(1);
  await file.read(length, 0, LENGTH_BYTES, 0);
  const header = new Uint8Array(Number(length[0]));
  await file.read(header, 0, header.length, LENGTH_BYTES);
  const dataStart = LENGTH_BYTES + header.length;
  const tensors: Uint32Array[] = [];
  for (const [, { data_offsets: offsets }] of entriesOf(header)) {
    const [begin, end] = offsets;
    const words = new Uint32Array((end - begin) / 4);
    const bytes = new Uint8Array(words.buffer);
    for (let done = 0; done < bytes.length; ) {
      const wanted = Math.min(bytes.length - done, LONGEST_READ);
      const { bytesRead } = await file.read(bytes, done, wanted, dataStart + begin + done);
      if (bytesRead === 0) throw new Error(`${path} ends too early`);
      done += bytesRead;
    }
    tensors.push(words);
  }
  return tensors;
}

function entriesOf(header: Uint8Array): [string, Entry][] {
  const entries = Object.entries(JSON.parse(new TextDecoder().decode(header)) as object);
  return entries.filter(([name]) => name !== '__metadata__');
}
