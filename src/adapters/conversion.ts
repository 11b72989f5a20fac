import type { Dtype } from '../index.ts';

/** How tensors of one dtype reach a backend. */
export interface Conversion {
  /** The backend's own name for its elements. */
  readonly type: string;
  /** Whether the backend's tensor has memory of its own; otherwise it is over the mapped file. */
  readonly copy: boolean;
  /** The option without which the dtype is refused, since the backend does not have it. */
  readonly option?: 'decode' | 'integers';
  /** What the elements become, where that is not what `tensor.data` is. */
  readonly as?: 'float32' | 'int32';
}

/** What a backend takes: a dtype that is not there is refused by UNSUPPORTED_DTYPE. */
export type DtypeTable = Readonly<Partial<Record<Dtype, Conversion>>>;

export interface ConvertOptions {
  /** `'float32'`: floats that the backend lacks (BF16, say) are decoded to F32, into new memory. */
  decode?: 'float32' | undefined;
  /**
   * `'int32'`: integers that the backend lacks (I64, say) become 32-bit ones, in new memory; one
   * that does not fit is a RangeError.
   */
  integers?: 'int32' | undefined;
}

export interface ConvertAllOptions extends ConvertOptions {
  /** The tensors to convert; all by default. */
  names?: Iterable<string> | undefined;
  /** Ends it: the promise is rejected with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Rows of a table: `tensor.data` itself; a copy of it; and copies as other elements. */
export const view = (type: string): Conversion => ({ type, copy: false });
export const copied = (type: string): Conversion => ({ type, copy: true });
export const widened = (type: string): Conversion => ({ type, copy: true, as: 'int32' });
export const fitted = (type: string): Conversion => ({ ...widened(type), option: 'integers' });
export const decoded = (type: string): Conversion => ({
  type,
  copy: true,
  as: 'float32',
  option: 'decode',
});

/** Rows of the floats that hardly any backend has. */
export const smallFloats = (row: Conversion) => ({
  BF16: row,
  F8_E4M3: row,
  F8_E5M2: row,
  F8_E8M0: row,
  F8_E4M3FNUZ: row,
  F8_E5M2FNUZ: row,
  F6_E2M3: row,
  F6_E3M2: row,
  F4: row,
});
