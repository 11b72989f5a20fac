import type { Dtype } from '../../dtypes.ts';
import { NUMPY_TYPES } from '../pickle/element-types.ts';
import { type Literal, LiteralTuple } from './literal.ts';

/** How the elements of an array are stored. */
export interface NumpyType {
  readonly dtype: Dtype;
  readonly elementBytes: number;
  readonly bigEndian: boolean;
}

/** What kinds of dtypes are that safetensors has nothing for. */
const KINDS: Readonly<Record<string, string>> = {
  O: 'Python objects, which are a pickle and are not read',
  S: 'byte strings',
  U: 'strings',
  M: 'dates',
  m: 'spans of time',
  c: 'complex numbers of this size',
  f: 'floats of this size',
};

/** The `descr` of a header: a type; or in words what it is instead; `undefined` where it is nothing of numpy's. */
export function typeOf(descr: Literal | undefined): NumpyType | string | undefined {
  if (Array.isArray(descr)) return 'structured, with fields';
  if (descr instanceof LiteralTuple) return 'of arrays';
  if (typeof descr !== 'string') return undefined;
  const [, order, kind, size, rest] = /^([<>|]?)([a-zA-Z])(\d*)(.*)$/s.exec(descr) ?? [];
  if (kind === undefined) return undefined;
  const type = NUMPY_TYPES.get(kind + size);
  if (type?.dtype !== undefined && rest === '') {
    // Without a byte order it is that of the machine that reads.
    if (type.bytes > 1 && order !== '<' && order !== '>') return 'without a byte order';
    return { dtype: type.dtype, elementBytes: type.bytes, bigEndian: order === '>' };
  }
  if (kind === 'V') return rawBytes(size);
  return KINDS[kind];
}

/** numpy writes types that are not its own as bytes, and does not say which they were. */
function rawBytes(size: string): string {
  const were = { 1: 'an 8-bit float', 2: 'bfloat16' }[size];
  if (were === undefined) return 'raw bytes';
  return `raw bytes, which may have been ${were} of ml_dtypes: numpy does not say; save it as float32`;
}
