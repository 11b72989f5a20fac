/**
 * Kernels between number formats and F32. A set and a format are places in the lists; `large` says
 * that caches cannot keep the results. The forms that work on another thread keep the arrays until
 * their promise is settled, but nobody may move or resize their memory before, and a mapping must be
 * held.
 */
export interface NativeKernels {
  /** What this processor can run, the best first: 'avx512', 'avx2', 'neon', 'scalar'. */
  readonly kernelSets: readonly string[];
  /** Dtypes that can be decoded. */
  readonly kernelFormats: readonly string[];
  decode(...call: DecodeCall): void;
  decodeAsync(...call: DecodeCall): Promise<void>;
  /** `scales` have an F32 for each tile of the rows; the last of a row or a column may be cut short. */
  decodeTiles(...call: DecodeTilesCall): void;
  decodeTilesAsync(...call: DecodeTilesCall): Promise<void>;
  /** 16 bytes of F4 to each byte of F8_E8M0. */
  decodeMxfp4(...call: DecodeMxfp4Call): void;
  decodeMxfp4Async(...call: DecodeMxfp4Call): Promise<void>;
  encode(...call: EncodeCall): void;
  encodeAsync(...call: EncodeCall): Promise<void>;
  /** Asks for huge pages for memory that has no pages yet. */
  preferHugePages(memory: Float32Array): void;
}

export type DecodeCall = [
  kernels: number,
  format: number,
  source: Uint8Array,
  target: Float32Array,
  large: boolean,
];

export type DecodeTilesCall = [
  kernels: number,
  format: number,
  weights: Uint8Array,
  scales: Float32Array,
  target: Float32Array,
  columns: number,
  tileRows: number,
  tileColumns: number,
  large: boolean,
];

export type DecodeMxfp4Call = [
  kernels: number,
  blocks: Uint8Array,
  scales: Uint8Array,
  target: Float32Array,
  large: boolean,
];

export type EncodeCall = [
  kernels: number,
  format: number,
  source: Float32Array,
  target: Uint8Array,
  saturate: boolean,
];
