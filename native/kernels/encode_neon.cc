// F32 to the small floats on arm64.
#include "kernels/scalar.h"
#include "kernels/sets.h"

#if defined(__aarch64__)

#include <arm_neon.h>

namespace safetensors {
namespace {

constexpr size_t kElements = 8;  // of a block

// Right-shifted by kBits, rounded to the nearest, ties to even. Not for what could overflow.
template <int kBits>
inline uint32x4_t RoundedShift(uint32x4_t values) {
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(values, kBits), vdupq_n_u32(1));
  const uint32x4_t half = vaddq_u32(odd, vdupq_n_u32((1u << (kBits - 1)) - 1));
  return vshrq_n_u32(vaddq_u32(values, half), kBits);
}

// EncodeSmall of small_float.h, four at a time: patterns in 32 bits each.
template <Format kFormat>
inline uint32x4_t Encode(uint32x4_t bits, bool saturate) {
  constexpr SmallFloat kSmall = kSmallFloat<kFormat>;
  constexpr int kNarrowing = kF32MantissaBits - kSmall.mantissa_bits;
  constexpr uint32_t kRebias = kF32Bias - kSmall.bias;
  constexpr uint32_t kUnit = (kRebias + 1 + kNarrowing) << kF32MantissaBits;

  const uint32x4_t magnitude = vandq_u32(bits, vdupq_n_u32(0x7fffffff));
  const uint32x4_t normal =
      vsubq_u32(RoundedShift<kNarrowing>(magnitude), vdupq_n_u32(kRebias << kSmall.mantissa_bits));
  const float32x4_t sum =
      vaddq_f32(vreinterpretq_f32_u32(magnitude), vreinterpretq_f32_u32(vdupq_n_u32(kUnit)));
  const uint32x4_t subnormal = vsubq_u32(vreinterpretq_u32_f32(sum), vdupq_n_u32(kUnit));
  const uint32x4_t small = vcltq_u32(magnitude, vdupq_n_u32((kRebias + 1) << kF32MantissaBits));
  uint32x4_t code = vbslq_u32(small, subnormal, normal);

  const uint32_t too_large = saturate ? kSmall.largest_finite() : kSmall.overflow();
  const uint32x4_t over = vcgtq_u32(code, vdupq_n_u32(kSmall.largest_finite()));
  code = vbslq_u32(over, vdupq_n_u32(too_large), code);
  const uint32x4_t nan = vcgtq_u32(magnitude, vdupq_n_u32(kF32Infinity));
  const uint32x4_t sign = vshlq_n_u32(vshrq_n_u32(bits, 31), kSmall.magnitude_bits());
  if constexpr (kSmall.specials == Specials::kNegativeZero) {
    const uint32x4_t zero = vceqq_u32(code, vdupq_n_u32(0));
    code = vorrq_u32(code, vbicq_u32(sign, zero));
    const uint32x4_t none = saturate ? nan : vorrq_u32(nan, over);
    return vbslq_u32(none, vdupq_n_u32(1u << kSmall.magnitude_bits()), code);
  }
  uint32x4_t of_nan = vdupq_n_u32(kSmall.magnitude_mask());
  if constexpr (kSmall.specials == Specials::kIeee) {
    const uint32x4_t payload = vshrq_n_u32(vshlq_n_u32(magnitude, 9), 9 + kNarrowing);
    const uint32_t quiet = kSmall.infinity() | 1u << (kSmall.mantissa_bits - 1);
    of_nan = vorrq_u32(payload, vdupq_n_u32(quiet));
  }
  return vorrq_u32(vbslq_u32(nan, of_nan, code), sign);
}

template <Format kFormat>
void EncodeNeon(const float* source, std::byte* target, size_t count, bool saturate) {
  size_t done = 0;
  for (; done + kElements <= count; done += kElements) {
    uint32x4_t codes[2];
    for (size_t i = 0; i < 2; i++) {
      const uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(source + done + 4 * i));
      codes[i] = Encode<kFormat>(bits, saturate);
    }
    const uint16x8_t words = vcombine_u16(vmovn_u32(codes[0]), vmovn_u32(codes[1]));
    uint8_t* const at = reinterpret_cast<uint8_t*>(target) + InfoOf(kFormat).bytes(done);
    if constexpr (InfoOf(kFormat).bits == 16) {
      vst1q_u8(at, vreinterpretq_u8_u16(words));
    } else {
      vst1_u8(at, vmovn_u16(words));
    }
  }
  EncodeScalar<kFormat>(source + done, target + InfoOf(kFormat).bytes(done), count - done,
                        saturate);
}

}  // namespace

// BF16 and F8_E8M0 need nothing but integers: the compiler makes vectors of them.
const ByFormat<EncodeKernel> kNeonEncoders =
    ForEachFormat<EncodeKernel>([]<Format kFormat>() -> EncodeKernel {
      if constexpr (kFormat == Format::kE8M0 || kFormat == Format::kBf16) {
        return EncodeScalar<kFormat>;
      } else if constexpr (HasEncode(kFormat)) {
        return EncodeNeon<kFormat>;
      }
      return nullptr;
    });

}  // namespace safetensors

#endif
