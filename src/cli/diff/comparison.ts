import type { Dtype } from '../../index.ts';
import type { Differences } from './elements.ts';

/** What a header says of a tensor. */
export interface TensorFacts {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Elements. */
  readonly size: number;
  readonly byteLength: number;
}

/** A tensor that both have. */
export interface TensorPair {
  readonly a: TensorFacts;
  readonly b: TensorFacts;
}

/** A tensor that is not the same in both. */
export interface Change extends TensorPair {
  /** `undefined` where bytes were not compared: those of another dtype, or of another number. */
  readonly elements: Differences | undefined;
}

export interface MetadataChange {
  readonly key: string;
  /** `undefined` where the key is not there. */
  readonly a: string | undefined;
  readonly b: string | undefined;
}

/** One of the two that are compared. */
export interface Side {
  readonly path: string;
  readonly byteLength: number;
  /** Tensors. */
  readonly size: number;
}

/** How two models differ. Tensors are in the order of the data. */
export interface Comparison {
  readonly a: Side;
  readonly b: Side;
  readonly onlyInA: readonly TensorFacts[];
  readonly onlyInB: readonly TensorFacts[];
  readonly changes: readonly Change[];
  readonly metadata: readonly MetadataChange[];
  /** Tensors that are the same in both. */
  readonly same: number;
  /** Whether the data was left alone. */
  readonly headersOnly: boolean;
}

export function isSame({ changes, onlyInA, onlyInB, metadata }: Comparison): boolean {
  return [changes, onlyInA, onlyInB, metadata].every(({ length }) => length === 0);
}

export function haveSameType({ a, b }: TensorPair): boolean {
  return a.dtype === b.dtype && a.shape.join() === b.shape.join();
}
