import { isUtf8 } from 'node:buffer';
import { quoteName } from '../../escape.ts';
import { SafetensorsError } from '../../index.ts';
import { malformed } from '../fault.ts';
import { geometryOf, stridesOf } from '../geometry.ts';
import { MOST_DIMENSIONS } from '../pickle/limits.ts';
import type { CheckpointTensor, TensorPlace } from '../plan.ts';
import type { Unsupported } from '../tensor-list.ts';
import { typeOf } from './descr.ts';
import { type Literal, LiteralFault, LiteralTuple, parseLiteral } from './literal.ts';

const MAGIC = '\x93NUMPY';

/** As many as tell an array from anything else. */
export const MAGIC_BYTES = 4;

/** Only structured dtypes have headers of more than a few hundred bytes. */
const MOST_HEADER_BYTES = 2 ** 20;

export function beginsLikeNpy(start: Buffer): boolean {
  return start.toString('latin1', 0, MAGIC_BYTES) === MAGIC.slice(0, MAGIC_BYTES);
}

/** An array with its header, as bytes one after another. */
export interface NpyBytes {
  readonly name: string;
  /** Of the array with its header. */
  readonly byteLength: number;
  /** For messages. */
  readonly path: string;
  /** Fills a buffer with bytes of it that have not been asked for yet, front to back. */
  readonly readInto: (target: Buffer) => Promise<void>;
}

/** The array that is to become a tensor. */
export interface NpyArray extends NpyBytes {
  /** Where its data is, which begins behind `headerBytes`. */
  readonly place: (headerBytes: number) => TensorPlace;
}

/**
 * An array as `numpy.save` writes it, in any of its three versions.
 *
 * @returns What it is instead, where its dtype is none of safetensors.
 * @throws {SafetensorsError} MALFORMED_CHECKPOINT, CHECKPOINT_LIMIT
 */
export async function planNpy(array: NpyArray): Promise<CheckpointTensor | Unsupported> {
  const { name, byteLength } = array;
  const wrong = wrongOf(array);
  const { descr, fortran, shape, headerBytes } = await readNpyHeader(array);
  const type = typeOf(descr);
  if (type === undefined) throw wrong('a dtype that is none of numpy');
  if (typeof type === 'string') return { name, what: `${dtypeText(descr)}: ${type}` };
  const { dtype, elementBytes, bigEndian } = type;
  const geometry = geometryOf(shape, stridesOf(shape, fortran), 0, elementBytes);
  if (geometry === undefined) throw wrong('a shape beyond all bounds');
  const expected = geometry.elements * elementBytes;
  if (expected !== byteLength - headerBytes) {
    const found = byteLength - headerBytes;
    throw wrong(`expected ${expected} bytes behind its header of ${headerBytes}, found ${found}`);
  }
  const swappedBytes = dtype === 'C64' ? elementBytes / 2 : elementBytes;
  return {
    name,
    dtype,
    geometry,
    changes: { swappedBytes: bigEndian ? swappedBytes : 1, negative: false, conjugate: false },
    place: array.place(headerBytes),
  };
}

type Wrong = (what: string) => SafetensorsError;

function wrongOf({ name, path }: NpyBytes): Wrong {
  return (what) => malformed(path, `array ${quoteName(name)}: ${what}`);
}

/** What a header says. */
export interface NpyHeader {
  readonly descr: Literal | undefined;
  readonly fortran: boolean;
  readonly shape: readonly number[];
  /** Where the data begins. */
  readonly headerBytes: number;
}

/** @throws {SafetensorsError} MALFORMED_CHECKPOINT, CHECKPOINT_LIMIT */
export async function readNpyHeader(array: NpyBytes): Promise<NpyHeader> {
  const wrong = wrongOf(array);
  const { text, headerBytes } = await readHeader(array, wrong);
  return { ...parseHeader(text, wrong), headerBytes };
}

async function readHeader(
  { byteLength, path, readInto }: NpyBytes,
  wrong: Wrong,
): Promise<{ text: string; headerBytes: number }> {
  const short = () => wrong('it ends within its header');
  const start = Buffer.alloc(8);
  if (byteLength < start.length) throw short();
  await readInto(start);
  if (start.toString('latin1', 0, 6) !== MAGIC) throw wrong('it is not what numpy.save writes');
  const [major, minor] = start.subarray(6);
  if (major < 1 || major > 3 || minor !== 0) {
    throw wrong(`version ${major}.${minor} of the format, which is not known`);
  }
  const length = Buffer.alloc(major === 1 ? 2 : 4);
  if (byteLength < start.length + length.length) throw short();
  await readInto(length);
  const textBytes = length.readUIntLE(0, length.length);
  const headerBytes = start.length + length.length + textBytes;
  if (headerBytes > byteLength) throw short();
  if (textBytes > MOST_HEADER_BYTES) {
    const message = `array with a header of ${textBytes} bytes`;
    throw new SafetensorsError('CHECKPOINT_LIMIT', message, { path });
  }
  const bytes = Buffer.alloc(textBytes);
  await readInto(bytes);
  if (major === 3 && !isUtf8(bytes)) throw wrong('a header that is not UTF-8');
  return { text: bytes.toString(major === 3 ? 'utf8' : 'latin1'), headerBytes };
}

function parseHeader(text: string, wrong: Wrong): Omit<NpyHeader, 'headerBytes'> {
  let header: Literal;
  try {
    header = parseLiteral(text);
  } catch (error) {
    if (!(error instanceof LiteralFault)) throw error;
    throw wrong(`its header, at character ${error.at}: ${error.message}`);
  }
  const keys = header instanceof Map ? [...header.keys()].sort().join() : undefined;
  if (!(header instanceof Map) || keys !== 'descr,fortran_order,shape') {
    throw wrong('expected a header of descr, fortran_order and shape');
  }
  const fortran = header.get('fortran_order');
  if (typeof fortran !== 'boolean') throw wrong('a fortran_order that is neither True nor False');
  const shape = header.get('shape');
  const dimensions = shape instanceof LiteralTuple ? shape.items : [undefined];
  if (!dimensions.every((dimension) => typeof dimension === 'number')) {
    throw wrong('a shape that is no tuple of numbers');
  }
  if (dimensions.length > MOST_DIMENSIONS)
    throw wrong(`a shape of ${dimensions.length} dimensions`);
  return { descr: header.get('descr'), fortran, shape: dimensions };
}

function dtypeText(descr: Literal | undefined): string {
  return typeof descr === 'string' ? `dtype ${quoteName(descr)}` : 'a dtype';
}
