import { type AnyTensor, SafetensorsError, type Tensor } from '../index.ts';
import type { Conversion } from './conversion.ts';
import type { Turns } from './turns.ts';

/** Elements as they are handed to a backend. */
export type Elements = AnyTensor['data'] | Float32Array;

/** Integers that are converted between two looks at the time: a few milliseconds. */
const PIECE = 2 ** 16;

/**
 * Elements that are not decoded: the tensor's own, or integers of 32 bits.
 * @throws {SafetensorsError} FILE_CHANGED
 */
export function plain(tensor: Tensor, { as }: Conversion): Elements {
  if (as !== 'int32') return tensor.data;
  const { data } = tensor;
  const out = new Int32Array(data.length);
  narrow(tensor, data, out, 0, data.length);
  tensor.assertIntact();
  return out;
}

/**
 * Elements of memory of their own, while others have their turns; undefined where the tensor's own are meant.
 * @throws {SafetensorsError} FILE_CHANGED; CLOSED, also when the container is closed meanwhile
 * @throws the reason of the signal
 */
export async function converted(
  tensor: Tensor,
  { as }: Conversion,
  turns: Turns,
  signal: AbortSignal | undefined,
): Promise<Elements | undefined> {
  if (as === 'float32') return tensor.toFloat32Async(undefined, { signal });
  if (as === undefined) return undefined;
  const { data, name } = tensor;
  const out = new Int32Array(data.length);
  for (let from = 0; from < out.length; from += PIECE) {
    await turns.give(signal);
    if (data.length < out.length) {
      throw new SafetensorsError('CLOSED', 'closed while it was converted', { tensor: name });
    }
    narrow(tensor, data, out, from, Math.min(from + PIECE, out.length));
  }
  tensor.assertIntact();
  return out;
}

function narrow(
  { name }: Tensor,
  data: AnyTensor['data'],
  out: Int32Array,
  from: number,
  to: number,
): void {
  for (let place = from; place < to; place++) {
    out[place] = Number(data[place]);
    if (out[place] !== Number(data[place])) {
      throw new RangeError(
        `${JSON.stringify(name)}: element ${place} is ${data[place]}, over 32 bits`,
      );
    }
  }
}
