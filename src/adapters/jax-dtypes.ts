import { copied, type DtypeTable, decoded, fitted, smallFloats, widened } from './conversion.ts';

/** What jax-js has where there is a Float16Array, which it looks for before it takes anything but F32, I32 and U32. */
export const dtypesWithFloat16Array: DtypeTable = Object.freeze({
  F32: copied('float32'),
  F64: copied('float64'),
  F16: copied('float16'),
  I64: fitted('int32'),
  I32: copied('int32'),
  I16: widened('int32'),
  I8: widened('int32'),
  U64: fitted('int32'),
  U32: copied('uint32'),
  U16: widened('int32'),
  U8: widened('int32'),
  BOOL: widened('bool'),
  ...smallFloats(decoded('float32')),
});

/** Without one. */
export const dtypesWithoutFloat16Array: DtypeTable = Object.freeze({
  ...dtypesWithFloat16Array,
  F64: decoded('float32'),
  F16: decoded('float32'),
});
