// F32 to the small floats, with AVX2 and F16C.
#include "kernels/scalar.h"
#include "kernels/sets.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SAFETENSORS_INLINE SAFETENSORS_AVX2 static inline __attribute__((always_inline))

namespace safetensors {
namespace {

constexpr size_t kElements = 32;  // of a block

SAFETENSORS_INLINE __m256i Constant(uint32_t value) {
  return _mm256_set1_epi32(static_cast<int>(value));
}
SAFETENSORS_INLINE __m256i Blend(__m256i otherwise, __m256i value, __m256i where) {
  return _mm256_blendv_epi8(otherwise, value, where);
}

// Right-shifted by kBits, rounded to the nearest, ties to even. Not for what could overflow.
template <int kBits>
SAFETENSORS_INLINE __m256i RoundedShift(__m256i values) {
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(values, kBits), Constant(1));
  const __m256i half = _mm256_add_epi32(odd, Constant((1u << (kBits - 1)) - 1));
  return _mm256_srli_epi32(_mm256_add_epi32(values, half), kBits);
}

// EncodeSmall of scalar.h, eight at a time: patterns in 32 bits each.
template <Format kFormat>
SAFETENSORS_INLINE __m256i EncodeEight(__m256i bits, bool saturate) {
  constexpr SmallFloat kSmall = kSmallFloat<kFormat>;
  constexpr int kNarrowing = kF32MantissaBits - kSmall.mantissa_bits;
  constexpr uint32_t kRebias = kF32Bias - kSmall.bias;
  constexpr uint32_t kUnit = (kRebias + 1 + kNarrowing) << kF32MantissaBits;
  constexpr uint32_t kSignBit = 1u << kSmall.magnitude_bits();
  constexpr bool kNegativeZeroIsNan = kSmall.specials == Specials::kNegativeZero;

  const __m256i magnitude = _mm256_and_si256(bits, Constant(0x7fffffff));
  const __m256i normal = _mm256_sub_epi32(RoundedShift<kNarrowing>(magnitude),
                                          Constant(kRebias << kSmall.mantissa_bits));
  const __m256 sum =
      _mm256_add_ps(_mm256_castsi256_ps(magnitude), _mm256_castsi256_ps(Constant(kUnit)));
  const __m256i subnormal = _mm256_sub_epi32(_mm256_castps_si256(sum), Constant(kUnit));
  const __m256i small = _mm256_cmpgt_epi32(Constant((kRebias + 1) << kF32MantissaBits), magnitude);
  __m256i code = Blend(normal, subnormal, small);

  const uint32_t too_large = saturate ? kSmall.largest_finite() : kSmall.overflow();
  const __m256i over = _mm256_cmpgt_epi32(code, Constant(kSmall.largest_finite()));
  code = Blend(code, Constant(too_large), over);
  const __m256i nan = _mm256_cmpgt_epi32(magnitude, Constant(kF32Infinity));
  const __m256i negative = _mm256_srli_epi32(bits, 31);
  __m256i sign = _mm256_slli_epi32(negative, kSmall.magnitude_bits());
  if constexpr (kNegativeZeroIsNan) {
    const __m256i zero = _mm256_cmpeq_epi32(code, _mm256_setzero_si256());
    code = _mm256_or_si256(code, _mm256_andnot_si256(zero, sign));
    return Blend(code, Constant(kSignBit), saturate ? nan : _mm256_or_si256(nan, over));
  }
  __m256i of_nan = Constant(kSmall.magnitude_mask());
  if constexpr (kSmall.specials == Specials::kIeee) {
    const __m256i payload = _mm256_srli_epi32(_mm256_slli_epi32(magnitude, 9), 9 + kNarrowing);
    const uint32_t quiet = kSmall.infinity() | 1u << (kSmall.mantissa_bits - 1);
    of_nan = _mm256_or_si256(payload, Constant(quiet));
  }
  return _mm256_or_si256(Blend(code, of_nan, nan), sign);
}

SAFETENSORS_INLINE __m256i EncodeBf16(__m256i bits, bool saturate) {
  const __m256i magnitude = _mm256_and_si256(bits, Constant(0x7fffffff));
  __m256i code = RoundedShift<16>(magnitude);
  if (saturate) code = _mm256_min_epi32(code, Constant(0x7f7f));
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(magnitude, 16), Constant(0x40));
  const __m256i nan = _mm256_cmpgt_epi32(magnitude, Constant(kF32Infinity));
  const __m256i sign = _mm256_slli_epi32(_mm256_srli_epi32(bits, 31), 15);
  return _mm256_or_si256(Blend(code, quiet, nan), sign);
}

template <Format kFormat>
SAFETENSORS_INLINE __m256i Encode(__m256i bits, bool saturate) {
  if constexpr (kFormat == Format::kBf16)
    return EncodeBf16(bits, saturate);
  else
    return EncodeEight<kFormat>(bits, saturate);
}

SAFETENSORS_INLINE __m256i LoadBits(const float* source) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source));
}
SAFETENSORS_INLINE void Save(std::byte* target, __m256i value) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(target), value);
}

template <Format kFormat>
SAFETENSORS_AVX2 void EncodeBlocks(const float* source, std::byte* target, size_t blocks,
                                   bool saturate) {
  for (size_t block = 0; block < blocks; block++) {
    __m256i codes[4];
    for (size_t i = 0; i < 4; i++) {
      codes[i] = Encode<kFormat>(LoadBits(source + kElements * block + 8 * i), saturate);
    }
    // Packing works on each half of a vector; a permutation puts the quarters in order again.
    const __m256i low = _mm256_packus_epi32(codes[0], codes[1]);
    const __m256i high = _mm256_packus_epi32(codes[2], codes[3]);
    if constexpr (InfoOf(kFormat).bits == 16) {
      std::byte* const at = target + 2 * kElements * block;
      Save(at, _mm256_permute4x64_epi64(low, 0xd8));
      Save(at + 32, _mm256_permute4x64_epi64(high, 0xd8));
    } else {
      const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
      Save(target + kElements * block,
           _mm256_permutevar8x32_epi32(_mm256_packus_epi16(low, high), order));
    }
  }
}

template <Format kFormat>
void EncodeAvx2(const float* source, std::byte* target, size_t count, bool saturate) {
  const size_t blocks = count / kElements;
  const size_t done = blocks * kElements;
  EncodeBlocks<kFormat>(source, target, blocks, saturate);
  EncodeScalar<kFormat>(source + done, target + InfoOf(kFormat).bytes(done), count - done,
                        saturate);
}

}  // namespace

const ByFormat<EncodeKernel> kAvx2Encoders =
    ForEachFormat<EncodeKernel>([]<Format kFormat>() -> EncodeKernel {
      if constexpr (kFormat == Format::kE8M0) return EncodeScalar<kFormat>;
      if constexpr (HasEncode(kFormat) && kFormat != Format::kE8M0) return EncodeAvx2<kFormat>;
      return nullptr;
    });

}  // namespace safetensors

#endif
