// The set for arm64, where NEON is always there.
//
// As with AVX2, formats of up to 8 bits are moved into an F16 and multiplied by a power of two.
// There are no streaming stores: arm64 has no intrinsics for them.
#include "kernels/sets.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#include "kernels/drive.h"

namespace safetensors {
namespace {

using enum Format;

inline uint8x8_t Load8(const std::byte* source) {
  return vld1_u8(reinterpret_cast<const uint8_t*>(source));
}
inline uint8x16_t Load16(const std::byte* source) {
  return vld1q_u8(reinterpret_cast<const uint8_t*>(source));
}
inline uint16x8_t LoadWords(const std::byte* source) {
  return vreinterpretq_u16_u8(Load16(source));
}
inline float32x4_t Bits(uint32x4_t bits) { return vreinterpretq_f32_u32(bits); }

// 8 F16 as 8 F32.
inline void Widen(uint16x8_t halves, float32x4_t* target) {
  const float16x8_t values = vreinterpretq_f16_u16(halves);
  target[0] = vcvt_f32_f16(vget_low_f16(values));
  target[1] = vcvt_high_f32_f16(values);
}
inline void Widen(uint16x8_t halves, float factor, float32x4_t* target) {
  Widen(halves, target);
  for (size_t i = 0; i < 2; i++) target[i] = vmulq_n_f32(target[i], factor);
}

// Sign, a 0, then the magnitude at `kShift`: an F16 but for its bias.
template <int kShift>
inline uint16x8_t Move(uint8x8_t codes, uint8_t magnitude, int sign_shift) {
  const uint16x8_t words = vmovl_u8(vand_u8(codes, vdup_n_u8(magnitude)));
  const uint16x8_t sign = vmovl_u8(vand_u8(codes, vdup_n_u8(magnitude + 1)));
  return vorrq_u16(vshlq_n_u16(words, kShift), vshlq_u16(sign, vdupq_n_s16(sign_shift)));
}

// `bits` where a code is `pattern`.
inline uint16x8_t Where(uint8x8_t codes, uint8_t pattern, uint16_t bits) {
  const uint8x8_t equal = vceq_u8(codes, vdup_n_u8(pattern));
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_u8(equal));
  return vandq_u16(vreinterpretq_u16_s16(wide), vdupq_n_u16(bits));
}

// Eight elements as two vectors of F32.
template <Format kFormat>
inline void Read8(const std::byte* source, float32x4_t* target) {
  if constexpr (kFormat == kBf16) {
    const uint16x8_t words = LoadWords(source);
    target[0] = Bits(vshll_n_u16(vget_low_u16(words), 16));
    target[1] = Bits(vshll_high_n_u16(words, 16));
  } else if constexpr (kFormat == kF16) {
    Widen(LoadWords(source), target);
  } else if constexpr (kFormat == kE5M2) {
    Widen(vshll_n_u8(Load8(source), 8), target);
  } else if constexpr (kFormat == kE4M3) {
    const uint8x8_t codes = Load8(source);
    const uint8x8_t magnitude = vand_u8(codes, vdup_n_u8(0x7f));
    Widen(vorrq_u16(Move<7>(codes, 0x7f, 8), Where(magnitude, 0x7f, 0x7c00)), 0x1p8f, target);
  } else if constexpr (kFormat == kE4M3Fnuz) {
    const uint8x8_t codes = Load8(source);
    Widen(vorrq_u16(Move<7>(codes, 0x7f, 8), Where(codes, 0x80, 0x7e00)), 0x1p7f, target);
  } else if constexpr (kFormat == kE5M2Fnuz) {
    // As with AVX2: the exponent is lowered by one, or the magnitude halved.
    const uint8x8_t codes = Load8(source);
    const uint16x8_t magnitude = vshll_n_u8(vand_u8(codes, vdup_n_u8(0x7f)), 8);
    const uint16x8_t lowered = vqsubq_u16(magnitude, vdupq_n_u16(1 << 10));
    const uint16x8_t value = vmaxq_u16(lowered, vshrq_n_u16(magnitude, 1));
    const uint16x8_t sign = vshll_n_u8(vand_u8(codes, vdup_n_u8(0x80)), 8);
    Widen(vorrq_u16(vorrq_u16(value, sign), Where(codes, 0x80, 0x7e00)), target);
  } else if constexpr (kFormat == kE8M0) {
    const uint8x8_t codes = Load8(source);
    const uint16x8_t half = vdupq_n_u16(1 << 6);
    const uint16x8_t powers = vmaxq_u16(vshlq_n_u16(vmovl_u8(codes), 7), half);
    const uint16x8_t upper = vorrq_u16(powers, Where(codes, 255, 1 << 6));
    target[0] = Bits(vshll_n_u16(vget_low_u16(upper), 16));
    target[1] = Bits(vshll_high_n_u16(upper, 16));
  } else if constexpr (kFormat == kF32) {
    for (size_t i = 0; i < 2; i++) target[i] = vreinterpretq_f32_u8(Load16(source + 16 * i));
  } else {
    static_assert(kFormat == kBf16, "no kernel");
  }
}

// 32 elements of formats whose elements share bytes, as eight vectors.
inline void ReadF4(const std::byte* source, float32x4_t* target) {
  // The upper bytes of the F16, whose lower bytes are 0.
  static constexpr uint8_t kUpper[16] = {0,    0x38, 0x3c, 0x3e, 0x40, 0x42, 0x44, 0x46,
                                         0x80, 0xb8, 0xbc, 0xbe, 0xc0, 0xc2, 0xc4, 0xc6};
  const uint8x16_t table = vld1q_u8(kUpper);
  const uint8x16_t pairs = Load16(source);
  const uint8x16_t low = vqtbl1q_u8(table, vandq_u8(pairs, vdupq_n_u8(0xf)));
  const uint8x16_t high = vqtbl1q_u8(table, vshrq_n_u8(pairs, 4));
  const uint8x16_t ordered[2] = {vzip1q_u8(low, high), vzip2q_u8(low, high)};
  for (size_t i = 0; i < 2; i++) {
    Widen(vshll_n_u8(vget_low_u8(ordered[i]), 8), target + 4 * i);
    Widen(vshll_high_n_u8(ordered[i], 8), target + 4 * i + 2);
  }
}

template <int kMantissaBits, int kFactorBits>
inline void ReadF6(const std::byte* source, float32x4_t* target) {
  // 12 bytes, 4 numbers in each 3; those past them are 0 by their index.
  static constexpr uint8_t kThrees[16] = {0, 1, 2, 255, 3, 4, 5, 255, 6, 7, 8, 255, 9, 10, 11, 255};
  static constexpr uint8_t kLast[16] = {4,  5,  6,  255, 7,  8,  9,  255,
                                        10, 11, 12, 255, 13, 14, 15, 255};
  for (size_t i = 0; i < 2; i++) {
    const uint8x16_t bytes = Load16(source + 8 * i);
    const uint32x4_t threes =
        vreinterpretq_u32_u8(vqtbl1q_u8(bytes, vld1q_u8(i == 0 ? kThrees : kLast)));
    const auto pick = [](uint32x4_t shifted, uint32_t mask) {
      return vandq_u32(shifted, vdupq_n_u32(mask));
    };
    const uint32x4_t even = vorrq_u32(pick(threes, 0x3f), pick(vshlq_n_u32(threes, 4), 0x3f0000));
    const uint32x4_t odd =
        vorrq_u32(pick(vshlq_n_u32(threes, 2), 0x3f00), pick(vshlq_n_u32(threes, 6), 0x3f000000));
    const uint8x16_t codes = vreinterpretq_u8_u32(vorrq_u32(even, odd));
    constexpr float kFactor = 1 << kFactorBits;
    Widen(Move<10 - kMantissaBits>(vget_low_u8(codes), 0x1f, 10), kFactor, target + 4 * i);
    Widen(Move<10 - kMantissaBits>(vget_high_u8(codes), 0x1f, 10), kFactor, target + 4 * i + 2);
  }
}

template <Format kFormat>
struct Blocks {
  static constexpr size_t kElements = 32;
  static constexpr size_t kAlignment = sizeof(float);

  template <bool kScaled, bool>
  static void Run(const std::byte* source, const float* factors, float* target, size_t blocks) {
    for (size_t at = 0; at < blocks * kElements; at += kElements) {
      const std::byte* const bytes = source + InfoOf(kFormat).bytes(at);
      float32x4_t values[8];
      if constexpr (kFormat == kF4) {
        ReadF4(bytes, values);
      } else if constexpr (kFormat == kF6E2M3) {
        ReadF6<3, 14>(bytes, values);
      } else if constexpr (kFormat == kF6E3M2) {
        ReadF6<2, 12>(bytes, values);
      } else {
        for (size_t i = 0; i < 4; i++) {
          Read8<kFormat>(bytes + InfoOf(kFormat).bytes(8 * i), values + 2 * i);
        }
      }
      for (size_t i = 0; i < 8; i++) {
        if constexpr (kScaled) values[i] = vmulq_f32(values[i], vld1q_f32(factors + at + 4 * i));
        vst1q_f32(target + at + 4 * i, values[i]);
      }
    }
  }
};

// One instruction each on arm64: the scalar form is as fast as memory is.
constexpr bool IsInteger(Format format) {
  return format == kBool || format == kU8 || format == kI8 || format == kU16 || format == kI16 ||
         format == kI32 || format == kU32 || format == kI64 || format == kU64 || format == kF64;
}

template <Format kFormat>
void Decode(const std::byte* source, float* target, size_t count, Stores stores) {
  if constexpr (IsInteger(kFormat)) {
    DecodeScalar<kFormat>(source, target, count);
  } else {
    Drive<kFormat, Blocks<kFormat>, false>(source, nullptr, target, count, stores);
  }
}

template <Format kFormat>
void DecodeScaled(const std::byte* source, const float* factors, float* target, size_t count,
                  Stores stores) {
  Drive<kFormat, Blocks<kFormat>, true>(source, factors, target, count, stores);
}

void DecodeMxfp4(const std::byte* source, const float* factors, float* target, size_t blocks,
                 Stores) {
  for (size_t block = 0; block < blocks; block++) {
    float32x4_t values[8];
    ReadF4(source + block * kMxfp4BlockBytes, values);
    for (size_t i = 0; i < 8; i++) {
      vst1q_f32(target + block * kMxBlockElements + 4 * i, vmulq_n_f32(values[i], factors[block]));
    }
  }
}

constexpr auto kDecode =
    ForEachFormat<DecodeKernel>([]<Format kFormat>() -> DecodeKernel { return Decode<kFormat>; });
constexpr auto kScaled = ForEachFormat<ScaledKernel>([]<Format kFormat>() -> ScaledKernel {
  if constexpr (HasScaled(kFormat)) return DecodeScaled<kFormat>;
  return nullptr;
});

}  // namespace

const KernelSet kNeonKernels = {"neon", kDecode, kScaled, DecodeMxfp4, kNeonEncoders};

}  // namespace safetensors

#endif
