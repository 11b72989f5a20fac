import { MOST_DIMENSIONS } from './limits.ts';
import type { CallSite } from './stack.ts';
import { PyArray, PyArrayType, PyBytes, PyGlobal, PyTuple, type Value } from './values.ts';

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
    return typeof args[0] === 'string' && args.length <= 3 ? new PyArrayType(args[0]) : undefined;
  }
  if (RECONSTRUCT.includes(name)) {
    const [type] = args;
    const isPlain = args.length === 3 && type instanceof PyGlobal && type.path === 'numpy.ndarray';
    return isPlain ? new PyArray() : undefined;
  }
  if (SCALAR.includes(name)) {
    const [type, bytes] = args;
    if (!(type instanceof PyArrayType && bytes instanceof PyBytes)) return undefined;
    return filled(type, [], false, bytes);
  }
  const [bytes, type, shape, order] = args;
  const isPlain = bytes instanceof PyBytes && type instanceof PyArrayType && args.length === 4;
  if (!isPlain || (order !== 'C' && order !== 'F')) return undefined;
  return filled(type, dimensions(shape, site), order === 'F', bytes);
}

/** The state of a dtype, or of an array; false where it is none that numpy writes. */
export function arrayState(target: PyArray | PyArrayType, state: Value, site: CallSite): boolean {
  if (!(state instanceof PyTuple)) return false;
  if (target instanceof PyArrayType) {
    const order = state.items[1];
    target.bigEndian = order === '>';
    return order === '<' || order === '>' || order === '|' || order === '=';
  }
  const [version, shape, type, fortran, bytes] = state.items;
  if (state.items.length !== 5 || version !== 1 || !(type instanceof PyArrayType)) return false;
  // An array of objects has a list of them; it is no tensor.
  if (!(bytes instanceof PyBytes)) return true;
  const { contents } = filled(type, dimensions(shape, site), fortran === true, bytes);
  target.contents = contents;
  return true;
}

function filled(
  type: PyArrayType,
  shape: readonly number[],
  fortran: boolean,
  { bytes }: PyBytes,
): PyArray {
  const array = new PyArray();
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
