import type { Dtype } from '../dtypes.ts';
import { quoteName } from '../escape.ts';
import { SafetensorsError } from '../index.ts';
import { elementCount } from '../layout.ts';
import type { Checkpoint } from './checkpoint.ts';
import { malformed } from './fault.ts';
import { type Geometry, geometryOf, stridesOf } from './geometry.ts';
import type { PackedBytes } from './packed.ts';
import { NUMPY_TYPES } from './pickle/element-types.ts';
import { type ElementType, PyArray, type PyTensor } from './pickle/values.ts';
import type { Leaf } from './tree.ts';

/** What is done to elements on their way, in this order. */
export interface Changes {
  /** Bytes whose order is turned around; 1 for none. */
  readonly swappedBytes: number;
  /** Flips the signs of all numbers, or of imaginary parts. */
  readonly negative: boolean;
  readonly conjugate: boolean;
}

/** A tensor of a checkpoint, checked, and where its bytes are. */
export interface CheckpointTensor {
  readonly name: string;
  /** As it is in the checkpoint. */
  readonly dtype: Dtype;
  readonly geometry: Geometry;
  readonly changes: Changes;
  readonly place: TensorPlace;
}

/** The shape that a tensor is written with: of F4, PyTorch counts pairs, which lie along the last axis. */
export function writtenShape({ dtype, geometry }: CheckpointTensor): readonly number[] {
  const { shape } = geometry;
  return dtype === 'F4' ? shape.with(-1, 2 * shape[shape.length - 1]) : shape;
}

/** Memory that tensors are views of: in the file, or in its pickle. */
export interface TensorPlace {
  /** Tells one storage, or one array of the pickle, from another. */
  readonly key: string;
  /** In the file; in the pickle, 0. */
  readonly begin: number;
  readonly byteLength: number;
  /** Of a numpy array, whose bytes are in the pickle. */
  readonly bytes?: Uint8Array;
  /** Where they are compressed in the file. */
  readonly packed?: PackedBytes;
}

/** @throws {SafetensorsError} UNSUPPORTED_TENSOR, MALFORMED_CHECKPOINT */
export function planTensor(name: string, leaf: Leaf, checkpoint: Checkpoint): CheckpointTensor {
  return leaf instanceof PyArray
    ? planArray(name, leaf, checkpoint)
    : planView(name, leaf, checkpoint);
}

function planView(name: string, { fields }: PyTensor, checkpoint: Checkpoint): CheckpointTensor {
  const { path } = checkpoint.file;
  if (typeof fields === 'string') throw unsupported(name, fields, path);
  const { storage, type, conjugate, negative } = fields;
  const dtype = dtypeOf(name, type, path);
  const geometry = geometryOf(fields.shape, fields.strides, fields.offset, type.bytes);
  if (geometry === undefined) throw wrong(name, 'a shape beyond all bounds', path);
  const { begin, end } = checkpoint.placeOf(storage);
  if (geometry.end > end - begin) {
    const message = `it reaches to byte ${geometry.end} of a storage of ${end - begin}`;
    throw wrong(name, message, path);
  }
  if (dtype === 'F4' && !hasPairs(geometry)) {
    throw unsupported(
      name,
      'pairs of 4-bit floats that lie along another axis than the last',
      path,
    );
  }
  if (conjugate && dtype !== 'C64') throw wrong(name, 'the conjugate of what is real', path);
  if (negative && !SIGNED.has(dtype)) throw wrong(name, 'the negative of what has no sign', path);
  const numberBytes = dtype === 'C64' ? type.bytes / 2 : type.bytes;
  return {
    name,
    dtype,
    geometry,
    changes: {
      swappedBytes: checkpoint.contents.bigEndian ? numberBytes : 1,
      negative,
      conjugate,
    },
    place: { key: `storage:${storage.key}`, begin, byteLength: end - begin },
  };
}

/** Dtypes whose sign is the highest bit. */
const SIGNED: ReadonlySet<Dtype> = new Set(['F64', 'F32', 'F16', 'BF16', 'C64']);

/** Whether the last axis steps from one byte to the next, so that twice as many halves lie along it. */
function hasPairs({ shape, strides, elements }: Geometry): boolean {
  if (shape.length === 0) return false;
  return elements === 0 || shape[shape.length - 1] === 1 || strides[strides.length - 1] === 1;
}

/** What an array of numbers is that safetensors has no dtype for; `undefined` where it has one. */
export function unsupportedArray({ contents }: PyArray): string | undefined {
  if (contents === undefined) return undefined;
  const { code } = contents.type;
  const type = NUMPY_TYPES.get(code);
  if (type === undefined) return `a numpy array of dtype ${quoteName(code)}`;
  return type.dtype === undefined ? `a tensor of ${type.name}` : undefined;
}

function planArray(name: string, { contents }: PyArray, checkpoint: Checkpoint): CheckpointTensor {
  const { path } = checkpoint.file;
  if (contents === undefined) throw unsupported(name, 'a numpy array without data', path);
  const { type, shape, fortran, bytes } = contents;
  const elementType = NUMPY_TYPES.get(type.code);
  if (elementType === undefined) {
    throw unsupported(name, `a numpy array of dtype ${quoteName(type.code)}`, path);
  }
  const dtype = dtypeOf(name, elementType, path);
  const elements = elementCount(shape);
  const geometry = geometryOf(shape, stridesOf(shape, fortran), 0, elementType.bytes);
  if (geometry === undefined || elements === undefined || geometry.end !== bytes.length) {
    throw wrong(name, `a shape that does not fill its ${bytes.length} bytes`, path);
  }
  const numberBytes = dtype === 'C64' ? elementType.bytes / 2 : elementType.bytes;
  return {
    name,
    dtype,
    geometry,
    changes: {
      swappedBytes: type.bigEndian ? numberBytes : 1,
      negative: false,
      conjugate: false,
    },
    place: { key: keyOfBytes(bytes), begin: 0, byteLength: bytes.length, bytes },
  };
}

const bytesSeen = new WeakMap<Uint8Array, number>();
let mostBytesSeen = 0;

/** The same for all arrays of the same memory: a pickle may have one under any number of names. */
function keyOfBytes(bytes: Uint8Array): string {
  let id = bytesSeen.get(bytes);
  if (id === undefined) {
    id = mostBytesSeen++;
    bytesSeen.set(bytes, id);
  }
  return `array:${id}`;
}

function dtypeOf(name: string, { dtype, name: typeName }: ElementType, path: string): Dtype {
  if (dtype !== undefined) return dtype;
  throw unsupported(name, `a tensor of ${typeName}`, path);
}

function unsupported(tensor: string, what: string, path: string): SafetensorsError {
  const message = `tensor ${quoteName(tensor)}: ${what}, which safetensors does not have`;
  return new SafetensorsError('UNSUPPORTED_TENSOR', message, { path, tensor });
}

function wrong(tensor: string, what: string, path: string): SafetensorsError {
  return malformed(path, `tensor ${quoteName(tensor)}: ${what}`);
}
