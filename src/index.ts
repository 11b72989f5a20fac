export type { Container, OpenOptions, TensorInfo } from './container.ts';
export type { Dtype, TensorData } from './dtypes.ts';
export { SafetensorsError, type SafetensorsErrorCode } from './errors.ts';
export { loadFile, SafetensorsFile, safeOpen, safeOpenSync } from './file.ts';
export { deserialize, SafetensorsMemory } from './memory.ts';
export { type AnyTensor, Tensor } from './tensor.ts';
export type { Named, TensorLike, TensorSpec, TensorsLike } from './write/inputs.ts';
export type { Metadata, SaveOptions, SerializeOptions, WriteProgress } from './write/options.ts';
export { serialize } from './write/serialize.ts';
