import type { AnyTensor, Tensor } from '../index.ts';
import type { Conversion } from './conversion.ts';

/** Elements as they are handed to a backend. */
export type Elements = AnyTensor['data'] | Float32Array;

/**
 * Elements that are not decoded: the tensor's own, or integers of 32 bits.
 * @throws {SafetensorsError} FILE_CHANGED
 */
export function plain(tensor: Tensor, { as }: Conversion): Elements {
  if (as !== 'int32') return tensor.data;
  const integers = toInt32(tensor);
  tensor.assertIntact();
  return integers;
}

function toInt32({ data, name }: Tensor): Int32Array<ArrayBuffer> {
  const out = new Int32Array(data.length);
  for (let place = 0; place < data.length; place++) {
    out[place] = Number(data[place]);
    if (out[place] !== Number(data[place])) {
      throw new RangeError(
        `${JSON.stringify(name)}: element ${place} is ${data[place]}, over 32 bits`,
      );
    }
  }
  return out;
}
