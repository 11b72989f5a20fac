import { inspect } from 'node:util';
import { quoteName } from '../escape.ts';
import type { Tensor } from '../tensor.ts';
import { tensorPlace } from '../tensor.ts';

/** One piece of a tensor's bytes: see {@link SafetensorsWriter.write}. */
export type Piece = ArrayBufferView | Tensor;

/** Bytes of a tensor, at once or bit by bit. */
export type Pieces = Piece | Iterable<Piece> | AsyncIterable<Piece>;

/** What is wrong with the name of a tensor that a writer does not have. */
export function undeclared(name: unknown): TypeError | RangeError {
  if (typeof name === 'string') {
    return new RangeError(`name: expected a tensor that was declared, found ${quoteName(name)}`);
  }
  return new TypeError(`name: expected a string, found ${inspect(name, { depth: 0 })}`);
}

/** The pieces one by one, each yet to be checked. */
export function piecesOf(name: string, data: Pieces): Iterable<unknown> | AsyncIterable<unknown> {
  // First: a typed array is an iterable of its elements.
  if (ArrayBuffer.isView(data) || tensorPlace(data) !== undefined) return [data];
  if (typeof data === 'object' && data !== null) {
    if (Symbol.asyncIterator in data || Symbol.iterator in data) return data;
  }
  throw new TypeError(
    `tensor ${quoteName(name)}: data: expected a typed array, a tensor, or an iterable or a stream ` +
      `of them, found ${inspect(data, { depth: 0 })}`,
  );
}
