import { quoteName } from '../../escape.ts';
import { SafetensorsError } from '../../index.ts';
import { elementCount } from '../../layout.ts';
import { geometryOf, stridesOf } from '../geometry.ts';
import type { ByteReader } from '../mapped-checkpoint.ts';
import type { CheckpointTensor } from '../plan.ts';
import type { TensorList, Unsupported } from '../tensor-list.ts';
import { GgufCursor } from './cursor.ts';
import { readMetadata } from './metadata.ts';
import { type GgmlType, ggmlType } from './types.ts';

const MAGIC = 'GGUF';
const MAGIC_BYTES = 4;

/** Bounds of the specification, and of ggml. */
const MOST_NAME_BYTES = 64;
const MOST_DIMENSIONS = 4;

/** Tensors of the largest models: some thousands. */
const MOST_TENSORS = 1_000_000;

export function beginsLikeGguf(start: Buffer): boolean {
  return start.toString('latin1', 0, MAGIC_BYTES) === MAGIC;
}

/** A tensor as the header has it. */
interface TensorInfo {
  readonly name: string;
  /** As in safetensors: the first is the slowest. GGUF has them the other way round. */
  readonly shape: readonly number[];
  readonly typeNumber: number;
  readonly type: GgmlType | undefined;
  /** From where the data begins. */
  readonly offset: number;
  readonly byteLength: number;
  /** Of the info in the file. */
  readonly at: number;
}

/**
 * The tensors of a GGUF file, versions 2 and 3, with its metadata. Only the header is read.
 *
 * The specification of the format (docs/gguf.md of ggml) is followed to the letter where it says how a file has
 * to be; it does not forbid gaps between tensors, nor any order of them.
 *
 * @throws {SafetensorsError} NOT_A_CHECKPOINT for other versions, MALFORMED_CHECKPOINT, CHECKPOINT_LIMIT
 */
export async function readGguf(
  file: ByteReader,
  signal: AbortSignal | undefined,
): Promise<TensorList> {
  const cursor = new GgufCursor(file);
  cursor.skip(MAGIC_BYTES);
  await readVersion(cursor, file.path);
  const tensorCount = await cursor.count('a number of tensors');
  const keyCount = await cursor.count('a number of keys');
  if (tensorCount > MOST_TENSORS) throw cursor.limit(`${tensorCount} tensors`);
  const { texts, others, alignment } = await readMetadata(cursor, keyCount);
  signal?.throwIfAborted();
  const infos: TensorInfo[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const info = await readInfo(cursor, alignment);
    if (names.has(info.name)) {
      throw cursor.wrong(`the tensor ${quoteName(info.name)} for the second time`, info.at);
    }
    names.add(info.name);
    infos.push(info);
  }
  const dataStart = Math.ceil(cursor.at / alignment) * alignment;
  checkPlaces(cursor, infos, file.size - dataStart);
  const tensors: CheckpointTensor[] = [];
  const unsupported: Unsupported[] = [];
  for (const info of infos) {
    const tensor = planned(info, dataStart, cursor.bigEndian);
    if (tensor !== undefined) tensors.push(tensor);
    else {
      const what =
        info.type === undefined ? `type ${info.typeNumber}` : `quantised ${info.type.name}`;
      unsupported.push({ name: info.name, what });
    }
  }
  return { format: 'gguf', tensors, unsupported, metadata: texts, others };
}

/** Finds out the byte order too: in the wrong one, a version is a multiple of 65,536. */
async function readVersion(cursor: GgufCursor, path: string): Promise<void> {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(await cursor.uint32());
  cursor.bigEndian = bytes.readUInt16LE() === 0;
  const version = cursor.bigEndian ? bytes.readUInt32BE() : bytes.readUInt32LE();
  if (version === 3 || (version === 2 && !cursor.bigEndian)) return;
  const order = cursor.bigEndian ? ', big-endian' : '';
  const message =
    `a GGUF file of version ${version}${order}, where 2 and 3 are known, and 3 alone may be big-endian: ` +
    'make it anew from the original model';
  throw new SafetensorsError('NOT_A_CHECKPOINT', message, { path });
}

async function readInfo(cursor: GgufCursor, alignment: number): Promise<TensorInfo> {
  const at = cursor.at;
  const name = await cursor.string('the name of a tensor', MOST_NAME_BYTES);
  const wrong = (what: string) => cursor.wrong(`tensor ${quoteName(name)}: ${what}`, at);
  const dimensions = await cursor.uint32();
  if (dimensions > MOST_DIMENSIONS) throw wrong(`${dimensions} dimensions`);
  const shape: number[] = [];
  for (let i = 0; i < dimensions; i++) shape.unshift(await cursor.count('a dimension'));
  const typeNumber = await cursor.uint32();
  const offset = await cursor.count('the offset of a tensor');
  if (offset % alignment !== 0) {
    throw wrong(`its offset ${offset} is no multiple of the alignment, ${alignment}`);
  }
  const type = ggmlType(typeNumber);
  const elements = elementCount(shape);
  const { blockElements, blockBytes } = type ?? { blockElements: 1, blockBytes: 0 };
  const byteLength = ((elements ?? Number.NaN) / blockElements) * blockBytes;
  // Rows are made of whole blocks.
  if ((shape.at(-1) ?? 1) % blockElements !== 0 || !Number.isSafeInteger(byteLength)) {
    throw wrong(`the shape [${shape}], which ${type?.name ?? 'no type'} cannot have`);
  }
  return { name, shape, typeNumber, type, offset, byteLength, at };
}

/** Each tensor is in the file, and no byte is in two. */
function checkPlaces(cursor: GgufCursor, infos: readonly TensorInfo[], dataBytes: number): void {
  let end = 0;
  for (const info of [...infos].sort((a, b) => a.offset - b.offset)) {
    const { name, offset, byteLength, at } = info;
    const wrong = (what: string) => cursor.wrong(`tensor ${quoteName(name)}: ${what}`, at);
    if (offset + byteLength > Math.max(dataBytes, 0)) {
      throw wrong(
        `it reaches to byte ${offset + byteLength} of ${Math.max(dataBytes, 0)} bytes of data`,
      );
    }
    if (byteLength === 0) continue;
    if (offset < end) throw wrong(`its data, from byte ${offset}, overlaps that of another`);
    end = offset + byteLength;
  }
}

function planned(
  { name, shape, type, offset, byteLength }: TensorInfo,
  dataStart: number,
  bigEndian: boolean,
): CheckpointTensor | undefined {
  if (type?.dtype === undefined) return undefined;
  const { dtype, blockBytes } = type;
  const geometry = geometryOf(shape, stridesOf(shape, false), 0, blockBytes);
  // Its bytes have been found to be in the file.
  if (geometry === undefined) throw new Error(`tensor ${name} is beyond all bounds`);
  return {
    name,
    dtype,
    geometry,
    changes: { swappedBytes: bigEndian ? blockBytes : 1, negative: false, conjugate: false },
    place: { key: name, begin: dataStart + offset, byteLength },
  };
}
