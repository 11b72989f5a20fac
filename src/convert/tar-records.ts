import { malformed } from './fault.ts';
import type { ByteReader } from './mapped-checkpoint.ts';

export const BLOCK_BYTES = 512;
const MAGIC = 'ustar';
const MAGIC_AT = 257;
const TYPE_AT = 156;
const CHECKSUM = { begin: 148, end: 156 };

/** Header of POSIX that says more of the next record: of these, nothing that matters here. */
const EXTENDED = 'x';
const HARMLESS = /^(mtime|atime|ctime|uid|gid|uname|gname)$/;
const MOST_EXTENDED_BYTES = 4096;
/** PyTorch wrote four. */
const MOST_RECORDS = 16;

const RECORDS: ReadonlySet<string> = new Set(['sys_info', 'storages', 'tensors', 'pickle']);

/** Headers from before POSIX have no magic: Python asks for the checksum alone. */
export function beginsLikeTar(block: Buffer): boolean {
  return hasMagic(block) || (block.length >= BLOCK_BYTES && hasChecksum(block));
}

function hasMagic(block: Buffer): boolean {
  return block.toString('latin1', MAGIC_AT, MAGIC_AT + MAGIC.length) === MAGIC;
}

/**
 * Where the records of a tar file are (POSIX.1-1988 and -2001), by name: regular files only, in blocks up
 * to two of zeros, behind which there are none but zeros.
 *
 * @throws {SafetensorsError} MALFORMED_CHECKPOINT
 */
export async function readTar(
  file: ByteReader,
): Promise<Map<string, { begin: number; end: number }>> {
  const wrong = (what: string) => malformed(file.path, `tar file: ${what}`);
  const records = new Map<string, { begin: number; end: number }>();
  let at = 0;
  for (let count = 0; ; count++) {
    if (count > MOST_RECORDS) throw wrong('more records than a checkpoint has');
    if (at + BLOCK_BYTES > file.size) throw wrong('it ends without an end');
    const block = await file.read(at, at + BLOCK_BYTES);
    if (block.every((byte) => byte === 0)) break;
    if (!hasMagic(block) || !hasChecksum(block)) throw wrong('a header that is not right');
    const type = typeOfBlock(block);
    const size = octal(block, 124, 136);
    const begin = at + BLOCK_BYTES;
    if (size === undefined || begin + size > file.size) throw wrong('a size that is not right');
    at = begin + Math.ceil(size / BLOCK_BYTES) * BLOCK_BYTES;
    if (type === EXTENDED) {
      const isHarmless =
        size <= MOST_EXTENDED_BYTES && hasHarmlessKeys(await file.read(begin, begin + size));
      if (!isHarmless) throw wrong('an extended header');
      continue;
    }
    if (type !== '0' && type !== '\0') throw wrong('what is no regular file');
    const name = nameOfBlock(block);
    // Others would be names that begin the file, which other programs may take for a pickle.
    if (!RECORDS.has(name) || text(block, 345, 500) !== '') throw wrong('a record of another name');
    if (records.has(name)) throw wrong('a name that is there twice');
    records.set(name, { begin, end: begin + size });
  }
  const rest = await file.read(at, Math.min(file.size, at + 2 ** 20));
  if (at + rest.length !== file.size || rest.some((byte) => byte !== 0)) {
    throw wrong('bytes behind its end');
  }
  return records;
}

export function nameOfBlock(block: Buffer): string {
  return text(block, 0, 100);
}

export function typeOfBlock(block: Buffer): string {
  return block.toString('latin1', TYPE_AT, TYPE_AT + 1);
}

function hasChecksum(block: Buffer): boolean {
  let sum = 0;
  for (const [i, byte] of block.entries()) {
    sum += i >= CHECKSUM.begin && i < CHECKSUM.end ? 0x20 : byte;
  }
  return octal(block, CHECKSUM.begin, CHECKSUM.end) === sum;
}

function octal(block: Buffer, begin: number, end: number): number | undefined {
  const digits = /^ *([0-7]+)[ \0]*$/.exec(block.toString('latin1', begin, end))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 8);
}

function text(block: Buffer, begin: number, end: number): string {
  return block.toString('latin1', begin, end).replace(/\0.*$/s, '');
}

/** Records of the form "27 mtime=1500000000.25\n", the length with itself. */
function hasHarmlessKeys(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; ) {
    const match = /^(\d+) ([a-z]+)=/.exec(bytes.toString('latin1', at, at + 64));
    if (match === null || !HARMLESS.test(match[2]) || Number(match[1]) === 0) return false;
    at += Number(match[1]);
  }
  return true;
}
