import { type Dtype, deserialize, serialize } from '../../index.ts';

/** Dtypes of up to 16 bits that JavaScript has no array for. */
const SMALL_FLOATS: ReadonlySet<Dtype> = new Set([
  'F4',
  'F6_E2M3',
  'F6_E3M2',
  'F8_E4M3',
  'F8_E5M2',
  'F8_E8M0',
  'F8_E4M3FNUZ',
  'F8_E5M2FNUZ',
  'F16',
  'BF16',
]);

/** The numbers that all bits of such a dtype stand for, as the library decodes them. */
export function smallFloatValues(dtype: Dtype, elementBits: number): Float32Array | undefined {
  if (!SMALL_FLOATS.has(dtype)) return undefined;
  const shape = [2 ** elementBits];
  const bytes = serialize({ all: { dtype, shape, data: allBits(elementBits) } });
  return deserialize(bytes).getTensor('all').toFloat32();
}

/** Every element that there is, in order. */
function allBits(elementBits: number): Uint8Array {
  const count = 2 ** elementBits;
  const bytes = new Uint8Array((count * elementBits) / 8);
  for (let element = 0; element < count; element++) {
    for (let bit = 0; bit < elementBits; bit++) {
      const at = element * elementBits + bit;
      if ((element >>> bit) & 1) bytes[at >>> 3] |= 1 << (at & 7);
    }
  }
  return bytes;
}
