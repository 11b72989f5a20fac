import { type ZipEntry, zip } from './checkpoints.ts';

/** An array as `numpy.save` writes it; `header` and `data` as they are given. */
export function npy(header: string, data: Buffer, version = 1): Buffer {
  const text = Buffer.from(`${header}\n`, version === 3 ? 'utf8' : 'latin1');
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  length.writeUIntLE(text.length, 0, length.length);
  return Buffer.concat([
    Buffer.from(`\x93NUMPY`, 'latin1'),
    Buffer.of(version, 0),
    length,
    text,
    data,
  ]);
}

/** What numpy writes for a dtype and a shape. */
export function header(descr: string, shape: string, fortran = false): string {
  return `{'descr': ${descr}, 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': ${shape}, }`;
}

/** A file as `numpy.savez` writes it. */
export function npz(...entries: ZipEntry[]): Buffer {
  return zip(entries);
}

const integer = (bytes: number, bigEndian: boolean) => (value: number | bigint) => {
  const buffer = Buffer.alloc(bytes);
  if (bytes === 4) buffer.writeUInt32LE(Number(value));
  else buffer.writeBigUInt64LE(BigInt(value));
  return bigEndian ? buffer.reverse() : buffer;
};

export interface GgufTensor {
  name?: string | Buffer;
  /** As GGUF has them: the fastest first. */
  dimensions?: readonly (number | bigint)[];
  /** Number of the type. */
  type?: number;
  offset?: number | bigint;
}

export interface GgufOptions {
  version?: number;
  bigEndian?: boolean;
  tensors?: readonly GgufTensor[];
  /** Those that the header says there are. */
  tensorCount?: number | bigint;
  keyCount?: number | bigint;
  keys?: readonly (readonly [key: string | Buffer, value: Buffer])[];
  alignment?: number;
  data?: Buffer;
}

/** Values of the metadata with their types. */
export const value = {
  uint32: (number: number) => Buffer.concat([u32(4), u32(number)]),
  bool: (byte: number) => Buffer.concat([u32(7), Buffer.of(byte)]),
  string: (text: string | Buffer) => Buffer.concat([u32(8), string(text)]),
  array: (type: number, count: number | bigint, ...items: Buffer[]) =>
    Buffer.concat([u32(9), u32(type), u64(count), ...items]),
};

export const u32 = integer(4, false);
export const u64 = integer(8, false);

export function string(text: string | Buffer): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** A GGUF file of one tensor of F32 with four elements, but for what the options say. */
export function gguf(options: GgufOptions = {}): Buffer {
  const { version = 3, bigEndian = false, keys = [], alignment = 32 } = options;
  const { tensors = [{}], data = Buffer.alloc(16, 1) } = options;
  const four = integer(4, bigEndian);
  const eight = integer(8, bigEndian);
  const text = (from: string | Buffer) => {
    const bytes = Buffer.from(from);
    return Buffer.concat([eight(bytes.length), bytes]);
  };
  const infos = tensors.map(({ name = 'w', dimensions = [4], type = 0, offset = 0 }) =>
    Buffer.concat([
      text(name),
      four(dimensions.length),
      ...dimensions.map(eight),
      four(type),
      eight(offset),
    ]),
  );
  const head = Buffer.concat([
    Buffer.from('GGUF'),
    four(version),
    eight(options.tensorCount ?? tensors.length),
    eight(options.keyCount ?? keys.length),
    ...keys.flatMap(([key, bytes]) => [text(key), bytes]),
    ...infos,
  ]);
  const padding = Buffer.alloc((alignment - (head.length % alignment)) % alignment);
  return Buffer.concat([head, padding, data]);
}
