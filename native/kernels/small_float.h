// Floating-point formats of 16 bits and less: what their patterns mean, one number at a time. The
// kernels of every instruction set are held against this.
#pragma once

#include <bit>
#include <cstdint>

#include "kernels/formats.h"

namespace safetensors {

enum class Specials : uint8_t {
  kNone,          // finite numbers only
  kIeee,          // the largest exponent means infinity, or NaN
  kAllOnes,       // NaN only, where all bits but the sign are set
  kNegativeZero,  // NaN only, in place of -0
};

struct SmallFloat {
  uint32_t exponent_bits;
  uint32_t mantissa_bits;
  uint32_t bias;
  Specials specials;

  constexpr uint32_t magnitude_bits() const { return exponent_bits + mantissa_bits; }
  constexpr uint32_t magnitude_mask() const { return (1u << magnitude_bits()) - 1; }
  constexpr uint32_t infinity() const { return ((1u << exponent_bits) - 1) << mantissa_bits; }
  constexpr uint32_t largest_finite() const {
    if (specials == Specials::kIeee) return infinity() - 1;
    return magnitude_mask() - (specials == Specials::kAllOnes ? 1 : 0);
  }
  // What stands for a number that is too large, but for its sign.
  constexpr uint32_t overflow() const {
    return specials == Specials::kIeee ? infinity() : magnitude_mask();
  }
};

template <Format>
inline constexpr SmallFloat kSmallFloat{};
template <>
inline constexpr SmallFloat kSmallFloat<Format::kF16>{5, 10, 15, Specials::kIeee};
template <>
inline constexpr SmallFloat kSmallFloat<Format::kE5M2>{5, 2, 15, Specials::kIeee};
template <>
inline constexpr SmallFloat kSmallFloat<Format::kE4M3>{4, 3, 7, Specials::kAllOnes};
template <>
inline constexpr SmallFloat kSmallFloat<Format::kE4M3Fnuz>{4, 3, 8, Specials::kNegativeZero};
template <>
inline constexpr SmallFloat kSmallFloat<Format::kE5M2Fnuz>{5, 2, 16, Specials::kNegativeZero};
template <>
inline constexpr SmallFloat kSmallFloat<Format::kF6E2M3>{2, 3, 1, Specials::kNone};
template <>
inline constexpr SmallFloat kSmallFloat<Format::kF6E3M2>{3, 2, 3, Specials::kNone};
template <>
inline constexpr SmallFloat kSmallFloat<Format::kF4>{2, 1, 1, Specials::kNone};

inline constexpr uint32_t kF32Bias = 127;
inline constexpr uint32_t kF32MantissaBits = 23;
inline constexpr uint32_t kF32Infinity = 0x7f800000;
inline constexpr uint32_t kF32QuietNan = 0x7fc00000;

// The bits of the F32 that a pattern stands for.
constexpr uint32_t DecodeSmall(SmallFloat format, uint32_t pattern) {
  const uint32_t magnitude = pattern & format.magnitude_mask();
  const uint32_t sign = (pattern >> format.magnitude_bits()) << 31;
  const uint32_t widening = kF32MantissaBits - format.mantissa_bits;
  const uint32_t mantissa = magnitude & ((1u << format.mantissa_bits) - 1);
  const uint32_t exponent = magnitude >> format.mantissa_bits;
  switch (format.specials) {
    case Specials::kNone:
      break;
    case Specials::kIeee:
      if (magnitude == format.infinity()) return sign | kF32Infinity;
      if (magnitude > format.infinity()) return sign | kF32QuietNan | (mantissa << widening);
      break;
    case Specials::kAllOnes:
      if (magnitude == format.magnitude_mask()) {
        return sign | kF32QuietNan | (mantissa << widening);
      }
      break;
    case Specials::kNegativeZero:
      if (sign != 0 && magnitude == 0) return sign | kF32QuietNan;
      break;
  }
  const uint32_t rebias = kF32Bias - format.bias;
  if (exponent != 0) return sign | ((magnitude << widening) + (rebias << kF32MantissaBits));
  if (mantissa == 0) return sign;
  // A subnormal: every one of them is a normal F32.
  const uint32_t shift = format.mantissa_bits + 1 - std::bit_width(mantissa);
  const uint32_t normalized = mantissa
                              << shift;  // with its leading 1, which adds 1 to the exponent
  return sign | ((normalized << widening) + ((rebias - shift) << kF32MantissaBits));
}

// The pattern nearest to an F32 of these bits, ties to even.
inline uint32_t EncodeSmall(SmallFloat format, uint32_t bits, bool saturate) {
  const uint32_t magnitude = bits & 0x7fffffff;
  const uint32_t sign = (bits >> 31) << format.magnitude_bits();
  const uint32_t narrowing = kF32MantissaBits - format.mantissa_bits;
  const bool negative_zero_is_nan = format.specials == Specials::kNegativeZero;
  const uint32_t only_nan = 1u << format.magnitude_bits();
  if (magnitude > kF32Infinity) {
    if (negative_zero_is_nan) return only_nan;
    if (format.specials == Specials::kAllOnes) return sign | format.magnitude_mask();
    const uint32_t quiet = 1u << (format.mantissa_bits - 1);
    const uint32_t payload = (magnitude >> narrowing) & ((1u << format.mantissa_bits) - 1);
    return sign | format.infinity() | quiet | payload;
  }
  const uint32_t rebias = kF32Bias - format.bias;
  uint32_t code;
  if (magnitude < (rebias + 1) << kF32MantissaBits) {
    // Subnormal: the sum has the format's smallest number as the unit of its last place.
    const uint32_t unit = (rebias + 1 + narrowing) << kF32MantissaBits;
    const float sum = std::bit_cast<float>(magnitude) + std::bit_cast<float>(unit);
    code = std::bit_cast<uint32_t>(sum) - unit;
  } else {
    const uint32_t odd = (magnitude >> narrowing) & 1;
    const uint32_t rounded = magnitude + (1u << (narrowing - 1)) - 1 + odd;
    code = (rounded >> narrowing) - (rebias << format.mantissa_bits);
  }
  if (code > format.largest_finite()) {
    if (saturate) return sign | format.largest_finite();
    return negative_zero_is_nan ? only_nan : sign | format.overflow();
  }
  return negative_zero_is_nan && code == 0 ? 0 : sign | code;
}

}  // namespace safetensors
