import { NUMPY_TYPES } from './element-types.ts';
import { MOST_DIMENSIONS } from './limits.ts';
import type { CallSite } from './stack.ts';
import { PyArray, PyArrayType, PyBytes, PyGlobal, PyList, PyTuple, type Value } from './values.ts';

/** numpy 2 has moved them, and what older ones write stays. */
const MULTIARRAY = ['numpy.core.multiarray', 'numpy._core.multiarray'];
const RECONSTRUCT = MULTIARRAY.map((module) => `${module}._reconstruct`);
const SCALAR = MULTIARRAY.map((module) => `${module}.scalar`);
const FROM_BUFFER = ['numpy.core.numeric._frombuffer', 'numpy._core.numeric._frombuffer'];

export const NUMPY_NAMES: readonly string[] = [
  'numpy.dtype',
  ...RECONSTRUCT,
  ...SCALAR,
  ...FROM_BUFFER,
];

export function callNumpy(name: string, args: readonly Value[], site: CallSite): Value | undefined {
  if (name === 'numpy.dtype') {
    const [code, align, copy] = args;
    if (typeof code !== 'string' || args.length > 3 || isTrue(align)) return undefined;
    // One that is not copied is numpy's own, which no state changes.
    return new PyArrayType(code, !isTrue(copy));
  }
  if (RECONSTRUCT.includes(name)) {
    const [type] = args;
    const isPlain = args.length === 3 && type instanceof PyGlobal && type.path === 'numpy.ndarray';
    return isPlain ? new PyArray() : undefined;
  }
  if (SCALAR.includes(name)) {
    const [type, bytes] = args;
    if (args.length !== 2) return undefined;
    if (!(type instanceof PyArrayType && bytes instanceof PyBytes)) return undefined;
    return filled(type, [], false, bytes);
  }
  const [bytes, type, shape, order] = args;
  const isPlain = bytes instanceof PyBytes && type instanceof PyArrayType && args.length === 4;
  if (!isPlain || (order !== 'C' && order !== 'F')) return undefined;
  return filled(type, dimensions(shape, site), order === 'F', bytes);
}

/** Of a dtype of plain numbers, behind the byte order: no sub-array, names or fields, no size or flags. */
const PLAIN_DTYPE: readonly Value[] = [null, null, null, -1, -1, 0];

/** The state of a dtype, or of an array; false where it is none that numpy writes. */
export function arrayState(target: PyArray | PyArrayType, state: Value, site: CallSite): boolean {
  if (!(state instanceof PyTuple)) return false;
  if (target instanceof PyArrayType) return typeState(target, state.items);
  const [version, shape, type, fortran, bytes] = state.items;
  if (state.items.length !== 5 || version !== 1 || !(type instanceof PyArrayType)) return false;
  if (typeof fortran !== 'boolean') return false;
  // An array of objects has a list of them; it is no tensor.
  target.contents = undefined;
  target.ofObjects = bytes instanceof PyList && (isObject(type) || type.structured);
  if (!(bytes instanceof PyBytes)) return true;
  const { contents } = filled(type, dimensions(shape, site), fortran, bytes);
  target.contents = contents;
  return true;
}

function typeState(target: PyArrayType, [version, order, ...rest]: readonly Value[]): boolean {
  const isPlain =
    version === 3 &&
    rest.length === PLAIN_DTYPE.length &&
    PLAIN_DTYPE.every((part, i) => part === rest[i]);
  // Of fields and sub-arrays, its code says nothing. What is no tensor, as text, has sizes there.
  if (target.settled || (!isPlain && NUMPY_TYPES.has(target.code))) return false;
  target.settled = true;
  target.bigEndian = order === '>';
  target.structured = rest[1] instanceof PyTuple;
  return order === '<' || order === '>' || order === '|' || order === '=';
}

function isObject({ code }: PyArrayType): boolean {
  return code === 'O' || code === 'O8';
}

/** Kinds of text, bytes, objects, dates and spans of time, of which no tensor is made. */
const NO_NUMBERS = /^[USaOMm]/;

/** Whether an array is of numbers, or may be: bytes of no known kind may be anything. */
export function isOfNumbers({ contents, ofObjects }: PyArray): boolean {
  if (contents === undefined) return !ofObjects;
  return !contents.type.structured && !NO_NUMBERS.test(contents.type.code);
}

/** Older versions of numpy wrote numbers. */
function isTrue(value: Value | undefined): boolean {
  return value === true || value === 1;
}

function filled(
  type: PyArrayType,
  shape: readonly number[],
  fortran: boolean,
  { bytes }: PyBytes,
): PyArray {
  const array = new PyArray();
  type.settled = true;
  array.contents = { type, shape, fortran, bytes };
  return array;
}

function dimensions(shape: Value | undefined, site: CallSite): number[] {
  const items = shape instanceof PyTuple ? shape.items : undefined;
  if (items === undefined || items.length > MOST_DIMENSIONS) {
    throw site.fault('an array without a shape');
  }
  site.spend(items.length);
  return items.map((item) => {
    if (typeof item !== 'number' || item < 0) throw site.fault('an array without a shape');
    return item;
  });
}
