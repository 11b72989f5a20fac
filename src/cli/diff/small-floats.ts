import type { Dtype } from '../../index.ts';

/** What the largest exponent and the zero with a sign stand for. */
type Special =
  /** As IEEE 754 has it: infinities and NaNs. */
  | 'ieee'
  /** NaN where all bits are set; no infinities. */
  | 'all-ones'
  /** NaN in the place of the negative zero; no infinities. */
  | 'negative-zero'
  /** Numbers only. */
  | 'none';

interface Layout {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  readonly bias: number;
  readonly special: Special;
}

/**
 * Floats that JavaScript has no array for. OCP Microscaling Formats v1.0 for those under 8 bits; arXiv
 * 2209.05433 for F8_E4M3 and F8_E5M2; arXiv 2206.02915 for the FNUZ pair. F8_E8M0 is below.
 */
const LAYOUTS: Partial<Record<Dtype, Layout>> = {
  F4: { exponentBits: 2, mantissaBits: 1, bias: 1, special: 'none' },
  F6_E2M3: { exponentBits: 2, mantissaBits: 3, bias: 1, special: 'none' },
  F6_E3M2: { exponentBits: 3, mantissaBits: 2, bias: 3, special: 'none' },
  F8_E4M3: { exponentBits: 4, mantissaBits: 3, bias: 7, special: 'all-ones' },
  F8_E5M2: { exponentBits: 5, mantissaBits: 2, bias: 15, special: 'ieee' },
  F8_E4M3FNUZ: { exponentBits: 4, mantissaBits: 3, bias: 8, special: 'negative-zero' },
  F8_E5M2FNUZ: { exponentBits: 5, mantissaBits: 2, bias: 16, special: 'negative-zero' },
  F16: { exponentBits: 5, mantissaBits: 10, bias: 15, special: 'ieee' },
  BF16: { exponentBits: 8, mantissaBits: 7, bias: 127, special: 'ieee' },
};

const E8M0_BIAS = 127;
const E8M0_NAN = 0xff;

/** The values of all bits of a dtype of up to 16 bits; `undefined` for what is no such float. */
export function smallFloatValues(dtype: Dtype): Float32Array | undefined {
  if (dtype === 'F8_E8M0') {
    return Float32Array.from({ length: 256 }, (_, bits) =>
      bits === E8M0_NAN ? Number.NaN : 2 ** (bits - E8M0_BIAS),
    );
  }
  const layout = LAYOUTS[dtype];
  if (layout === undefined) return undefined;
  const count = 2 ** (1 + layout.exponentBits + layout.mantissaBits);
  return Float32Array.from({ length: count }, (_, bits) => decode(bits, layout));
}

function decode(bits: number, { exponentBits, mantissaBits, bias, special }: Layout): number {
  const magnitudes = 2 ** (exponentBits + mantissaBits);
  const magnitude = bits % magnitudes;
  const sign = bits < magnitudes ? 1 : -1;
  const largestExponent = 2 ** exponentBits - 1;
  const exponent = magnitude >>> mantissaBits;
  const fraction = (magnitude % 2 ** mantissaBits) / 2 ** mantissaBits;
  if (special === 'ieee' && exponent === largestExponent) {
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  if (special === 'all-ones' && magnitude === magnitudes - 1) return Number.NaN;
  if (special === 'negative-zero' && bits === magnitudes) return Number.NaN;
  const scale = 2 ** (Math.max(exponent, 1) - bias);
  return sign * scale * (exponent === 0 ? fraction : 1 + fraction);
}
