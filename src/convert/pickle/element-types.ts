import type { Dtype } from '../../dtypes.ts';
import type { ElementType } from './values.ts';

/**
 * Dtypes of PyTorch: name, bytes of an element, the dtype of safetensors, and the class that typed
 * storages of it had. Those without a dtype are known by name and refused.
 */
const TORCH: readonly (readonly [string, number, Dtype | undefined, string?])[] = [
  ['float32', 4, 'F32', 'FloatStorage'],
  ['float64', 8, 'F64', 'DoubleStorage'],
  ['float16', 2, 'F16', 'HalfStorage'],
  ['bfloat16', 2, 'BF16', 'BFloat16Storage'],
  ['int64', 8, 'I64', 'LongStorage'],
  ['int32', 4, 'I32', 'IntStorage'],
  ['int16', 2, 'I16', 'ShortStorage'],
  ['int8', 1, 'I8', 'CharStorage'],
  ['uint8', 1, 'U8', 'ByteStorage'],
  ['bool', 1, 'BOOL', 'BoolStorage'],
  ['complex64', 8, 'C64', 'ComplexFloatStorage'],
  ['complex128', 16, undefined, 'ComplexDoubleStorage'],
  ['complex32', 4, undefined],
  ['uint16', 2, 'U16'],
  ['uint32', 4, 'U32'],
  ['uint64', 8, 'U64'],
  ['float8_e4m3fn', 1, 'F8_E4M3'],
  ['float8_e5m2', 1, 'F8_E5M2'],
  ['float8_e4m3fnuz', 1, 'F8_E4M3FNUZ'],
  ['float8_e5m2fnuz', 1, 'F8_E5M2FNUZ'],
  ['float8_e8m0fnu', 1, 'F8_E8M0'],
  // Two to a byte, and a shape that counts bytes.
  ['float4_e2m1fn_x2', 1, 'F4'],
  ['quint8', 1, undefined, 'QUInt8Storage'],
  ['qint8', 1, undefined, 'QInt8Storage'],
  ['qint32', 4, undefined, 'QInt32Storage'],
  ['quint4x2', 1, undefined, 'QUInt4x2Storage'],
  ['quint2x4', 1, undefined, 'QUInt2x4Storage'],
];

/** By the names of dtypes in `torch`. */
export const TORCH_DTYPES: ReadonlyMap<string, ElementType> = new Map(
  TORCH.map(([name, bytes, dtype]) => [name, { name: `torch.${name}`, bytes, dtype }]),
);

/** By the names of typed storages in `torch`. */
export const STORAGE_TYPES: ReadonlyMap<string, ElementType> = new Map(
  TORCH.flatMap(([name, , , storage]) => {
    const type = TORCH_DTYPES.get(name);
    return storage === undefined || type === undefined ? [] : [[storage, type] as const];
  }),
);

const NUMPY: readonly (readonly [string, number, Dtype | undefined])[] = [
  ['f4', 4, 'F32'],
  ['f8', 8, 'F64'],
  ['f2', 2, 'F16'],
  ['i8', 8, 'I64'],
  ['i4', 4, 'I32'],
  ['i2', 2, 'I16'],
  ['i1', 1, 'I8'],
  ['u8', 8, 'U64'],
  ['u4', 4, 'U32'],
  ['u2', 2, 'U16'],
  ['u1', 1, 'U8'],
  ['b1', 1, 'BOOL'],
  ['c8', 8, 'C64'],
  ['c16', 16, undefined],
];

/** By numpy's codes of kind and bytes. */
export const NUMPY_TYPES: ReadonlyMap<string, ElementType> = new Map(
  NUMPY.map(([code, bytes, dtype]) => [code, { name: `numpy ${code}`, bytes, dtype }]),
);
