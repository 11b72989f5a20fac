// Small floats and F16 to vectors of F32, with AVX2 and F16C.
//
// Formats of up to 8 bits are moved into an F16 and multiplied by a power of two that makes up for
// the difference in bias, which is exact; VCVTPH2PS reads subnormals whatever MXCSR says.
#pragma once

#include <immintrin.h>

#include "kernels/sets.h"

#define SAFETENSORS_INLINE SAFETENSORS_AVX2 static inline __attribute__((always_inline))

namespace safetensors::avx2 {

using enum Format;

SAFETENSORS_INLINE __m128i Load8(const std::byte* source) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(source));
}
SAFETENSORS_INLINE __m128i Load16(const std::byte* source) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(source));
}
SAFETENSORS_INLINE __m256i Load32(const std::byte* source) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source));
}

// 16 F16 as 16 F32, times `factor`.
SAFETENSORS_INLINE void Widen(__m256i halves, float factor, __m256* target) {
  const __m256 low = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
  const __m256 high = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
  target[0] = _mm256_mul_ps(low, _mm256_set1_ps(factor));
  target[1] = _mm256_mul_ps(high, _mm256_set1_ps(factor));
}

inline constexpr size_t kEight = 8;  // elements of one vector of F32

// Codec<format>::Read: kElements elements as vectors of F32.
template <Format>
struct Codec;

template <>
struct Codec<kBf16> {
  static constexpr size_t kElements = 16;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    for (size_t i = 0; i < 2; i++) {
      const __m256i wide = _mm256_cvtepu16_epi32(Load16(source + 16 * i));
      target[i] = _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
    }
  }
};

template <>
struct Codec<kF16> {
  static constexpr size_t kElements = 16;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    for (size_t i = 0; i < 2; i++) target[i] = _mm256_cvtph_ps(Load16(source + 16 * i));
  }
};

template <>
struct Codec<kE5M2> {
  static constexpr size_t kElements = 16;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    const __m256i halves = _mm256_slli_epi16(_mm256_cvtepu8_epi16(Load16(source)), 8);
    target[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    target[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
  }
};

// The two F8 with 3 bits of mantissa, as F16: sign, a 0, 4 bits of exponent, 3 of mantissa.
SAFETENSORS_INLINE __m256i MoveE4M3(__m256i signed_words) {
  const __m256i kept = _mm256_set1_epi16(static_cast<short>(0xbf80));
  return _mm256_and_si256(_mm256_slli_epi16(signed_words, 7), kept);
}

template <>
struct Codec<kE4M3> {
  static constexpr size_t kElements = 16;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    const __m256i halves = MoveE4M3(_mm256_cvtepi8_epi16(Load16(source)));
    const __m256i magnitude = _mm256_set1_epi16(0x3f80);
    const __m256i nan = _mm256_cmpeq_epi16(_mm256_and_si256(halves, magnitude), magnitude);
    const __m256i exponent = _mm256_and_si256(nan, _mm256_set1_epi16(0x7c00));
    Widen(_mm256_or_si256(halves, exponent), 0x1p8f, target);
  }
};

template <>
struct Codec<kE4M3Fnuz> {
  static constexpr size_t kElements = 16;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    const __m256i words = _mm256_cvtepi8_epi16(Load16(source));
    const __m256i nan = _mm256_cmpeq_epi16(words, _mm256_set1_epi16(-128));
    const __m256i quiet = _mm256_and_si256(nan, _mm256_set1_epi16(0x7e00));
    Widen(_mm256_or_si256(MoveE4M3(words), quiet), 0x1p7f, target);
  }
};

// Its largest exponent would be an infinity in an F16, so the exponent is lowered by one; of those
// that have none to lower, which an F16 has as subnormals, the magnitude is halved. The larger of
// both is the right one.
template <>
struct Codec<kE5M2Fnuz> {
  static constexpr size_t kElements = 16;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    const __m256i negative = _mm256_set1_epi16(-0x8000);
    const __m256i words = _mm256_slli_epi16(_mm256_cvtepu8_epi16(Load16(source)), 8);
    const __m256i magnitude = _mm256_andnot_si256(negative, words);
    const __m256i lowered = _mm256_sub_epi16(magnitude, _mm256_set1_epi16(1 << 10));
    const __m256i value = _mm256_max_epi16(lowered, _mm256_srli_epi16(magnitude, 1));
    const __m256i sign = _mm256_and_si256(words, negative);
    const __m256i nan = _mm256_cmpeq_epi16(words, negative);
    const __m256i quiet = _mm256_and_si256(nan, _mm256_set1_epi16(0x7e00));
    const __m256i halves = _mm256_or_si256(value, _mm256_or_si256(sign, quiet));
    target[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    target[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
  }
};

// The upper half of the F32, whose exponent the code is. The first is a subnormal there, the last a
// NaN.
template <>
struct Codec<kE8M0> {
  static constexpr size_t kElements = 16;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    // In the order in which the unpacking of both 128-bit halves gives them back.
    const __m128i ordered = _mm_shuffle_epi32(Load16(source), _MM_SHUFFLE(3, 1, 2, 0));
    const __m256i codes = _mm256_cvtepu8_epi16(ordered);
    const __m256i half = _mm256_set1_epi16(1 << 6);
    const __m256i last = _mm256_cmpeq_epi16(codes, _mm256_set1_epi16(255));
    const __m256i powers = _mm256_max_epi16(_mm256_slli_epi16(codes, 7), half);
    const __m256i upper = _mm256_or_si256(powers, _mm256_and_si256(last, half));
    const __m256i zero = _mm256_setzero_si256();
    target[0] = _mm256_castsi256_ps(_mm256_unpacklo_epi16(zero, upper));
    target[1] = _mm256_castsi256_ps(_mm256_unpackhi_epi16(zero, upper));
  }
};

SAFETENSORS_INLINE __m256i Pick(__m256i words, int mask) {
  return _mm256_and_si256(words, _mm256_set1_epi32(mask));
}

// Four numbers of 6 bits in each 3 bytes, to four bytes: 24 bytes to 32.
SAFETENSORS_INLINE __m256i Spread6(const std::byte* source) {
  const __m256i both = _mm256_set_m128i(Load16(source + 8), Load16(source));
  const __m256i threes = _mm256_shuffle_epi8(
      both, _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,  //
                             4, 5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1));
  const __m256i even =
      _mm256_or_si256(Pick(threes, 0x3f), Pick(_mm256_slli_epi32(threes, 4), 0x3f0000));
  const __m256i odd = _mm256_or_si256(Pick(_mm256_slli_epi32(threes, 2), 0x3f00),
                                      Pick(_mm256_slli_epi32(threes, 6), 0x3f000000));
  return _mm256_or_si256(even, odd);
}

template <int kMantissaBits, int kFactorBits>
struct Codec6 {
  static constexpr size_t kElements = 32;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    const __m256i codes = Spread6(source);
    for (size_t i = 0; i < 2; i++) {
      const __m256i words = _mm256_cvtepu8_epi16(i == 0 ? _mm256_castsi256_si128(codes)
                                                        : _mm256_extracti128_si256(codes, 1));
      const __m256i sign = _mm256_slli_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0x20)), 10);
      const __m256i magnitude =
          _mm256_slli_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0x1f)), 10 - kMantissaBits);
      Widen(_mm256_or_si256(sign, magnitude), float{1 << kFactorBits}, target + 2 * i);
    }
  }
};
template <>
struct Codec<kF6E2M3> : Codec6<3, 14> {};
template <>
struct Codec<kF6E3M2> : Codec6<2, 12> {};

// A table of 16: the upper bytes of the F16, whose lower bytes are 0.
template <>
struct Codec<kF4> {
  static constexpr size_t kElements = 32;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    const __m128i table =
        _mm_setr_epi8(0, 0x38, 0x3c, 0x3e, 0x40, 0x42, 0x44, 0x46, -128, 0x38 - 128, 0x3c - 128,
                      0x3e - 128, 0x40 - 128, 0x42 - 128, 0x44 - 128, 0x46 - 128);
    const __m128i pairs = Load16(source);
    const __m128i nibble = _mm_set1_epi8(0xf);
    const __m128i low = _mm_shuffle_epi8(table, _mm_and_si128(pairs, nibble));
    const __m128i high = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(pairs, 4), nibble));
    const __m128i zero = _mm_setzero_si128();
    const __m128i ordered[2] = {_mm_unpacklo_epi8(low, high), _mm_unpackhi_epi8(low, high)};
    for (size_t i = 0; i < 2; i++) {
      target[2 * i] = _mm256_cvtph_ps(_mm_unpacklo_epi8(zero, ordered[i]));
      target[2 * i + 1] = _mm256_cvtph_ps(_mm_unpackhi_epi8(zero, ordered[i]));
    }
  }
};

}  // namespace safetensors::avx2
