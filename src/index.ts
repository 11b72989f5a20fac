export type { Container, TensorInfo } from './container.ts';
export {
  type BlockScaledAsyncOptions,
  type BlockScaledOptions,
  decodeBlockScaled,
  decodeBlockScaledAsync,
} from './decode/block-scaled.ts';
export {
  type EncodeAsyncOptions,
  type EncodedDtype,
  type EncodeOptions,
  fromFloat32,
  fromFloat32Async,
} from './decode/from-float32.ts';
export type { DecodeOptions } from './decode/lanes.ts';
export {
  decodeMxfp4,
  decodeMxfp4Async,
  type Mxfp4AsyncOptions,
  type Mxfp4Options,
} from './decode/mxfp4.ts';
export type { Dtype, TensorData } from './dtypes.ts';
export { SafetensorsError, type SafetensorsErrorCode } from './errors.ts';
export { loadFile, SafetensorsFile, safeOpen, safeOpenSync } from './file.ts';
export { deserialize, SafetensorsMemory } from './memory.ts';
export { type ModelShard, SafetensorsModel } from './model/model.ts';
export { type ModelOptions, openModel } from './model/open-model.ts';
export { type SavedModel, type SaveModelOptions, saveModel } from './model/save-model.ts';
export type { BackendChoice, OpenOptions, ParseOptions } from './open-options.ts';
export type { PrefetchOptions, PrefetchProgress, Residency } from './paging/prefetch.ts';
export type { SliceRange } from './slice.ts';
export type { Backend } from './storage/storage.ts';
export { type AnyTensor, type SliceOptions, Tensor } from './tensor.ts';
export type { Named, TensorLike, TensorSpec, TensorsLike } from './write/inputs.ts';
export type { Metadata, SaveOptions, SerializeOptions, WriteProgress } from './write/options.ts';
export type { Piece, Pieces } from './write/pieces.ts';
export { saveFile } from './write/save-file.ts';
export { serialize } from './write/serialize.ts';
export {
  type MetadataChanges,
  type MetadataUpdate,
  type UpdateOptions,
  updateMetadata,
} from './write/update-metadata.ts';
export { createWriter, SafetensorsWriter } from './write/writer.ts';
