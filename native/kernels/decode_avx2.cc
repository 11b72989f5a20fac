// The set for AVX2 with F16C, which every processor with AVX2 has had so far; both are asked for.
#include "kernels/sets.h"

#if defined(__x86_64__)

#include "kernels/codecs_avx2.h"
#include "kernels/drive.h"

namespace safetensors {
namespace avx2 {

template <>
struct Codec<kBool> {
  static constexpr size_t kElements = kEight;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    const __m256i values = _mm256_cvtepu8_epi32(Load8(source));
    const __m256i zero = _mm256_cmpeq_epi32(values, _mm256_setzero_si256());
    *target = _mm256_andnot_ps(_mm256_castsi256_ps(zero), _mm256_set1_ps(1.0f));
  }
};

template <>
struct Codec<kU8> {
  static constexpr size_t kElements = kEight;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    *target = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(Load8(source)));
  }
};

template <>
struct Codec<kI8> {
  static constexpr size_t kElements = kEight;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    *target = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(Load8(source)));
  }
};

template <>
struct Codec<kU16> {
  static constexpr size_t kElements = kEight;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    *target = _mm256_cvtepi32_ps(_mm256_cvtepu16_epi32(Load16(source)));
  }
};

template <>
struct Codec<kI16> {
  static constexpr size_t kElements = kEight;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    *target = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(Load16(source)));
  }
};

template <>
struct Codec<kI32> {
  static constexpr size_t kElements = kEight;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    *target = _mm256_cvtepi32_ps(Load32(source));
  }
};

// Two exact halves, whose sum is rounded once.
template <>
struct Codec<kU32> {
  static constexpr size_t kElements = kEight;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    const __m256i values = Load32(source);
    const __m256 high = _mm256_cvtepi32_ps(_mm256_srli_epi32(values, 16));
    const __m256 low = _mm256_cvtepi32_ps(_mm256_and_si256(values, _mm256_set1_epi32(0xffff)));
    *target = _mm256_add_ps(_mm256_mul_ps(high, _mm256_set1_ps(0x1p16f)), low);
  }
};

template <>
struct Codec<kF32> {
  static constexpr size_t kElements = kEight;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    *target = _mm256_castsi256_ps(Load32(source));
  }
};

template <>
struct Codec<kF64> {
  static constexpr size_t kElements = kEight;
  SAFETENSORS_INLINE void Read(const std::byte* source, __m256* target) {
    const __m128 low = _mm256_cvtpd_ps(_mm256_castsi256_pd(Load32(source)));
    const __m128 high = _mm256_cvtpd_ps(_mm256_castsi256_pd(Load32(source + 32)));
    *target = _mm256_set_m128(high, low);
  }
};

namespace {

template <Format kFormat>
struct Blocks {
  static constexpr size_t kElements = Codec<kFormat>::kElements;
  static constexpr size_t kAlignment = sizeof(__m256);

  template <bool kScaled, bool kStreaming>
  SAFETENSORS_AVX2 static void Run(const std::byte* source, const float* factors, float* target,
                                   size_t blocks) {
    for (size_t block = 0; block < blocks; block++) {
      __m256 values[kElements / kEight];
      Codec<kFormat>::Read(source + InfoOf(kFormat).bytes(block * kElements), values);
      for (size_t i = 0; i < kElements / kEight; i++) {
        const size_t at = block * kElements + i * kEight;
        if constexpr (kScaled) values[i] = _mm256_mul_ps(values[i], _mm256_loadu_ps(factors + at));
        if constexpr (kStreaming) {
          _mm256_stream_ps(target + at, values[i]);
        } else {
          _mm256_storeu_ps(target + at, values[i]);
        }
      }
    }
  }
};

template <Format kFormat>
void Decode(const std::byte* source, float* target, size_t count, Stores stores) {
  if constexpr (kFormat == kI64 || kFormat == kU64) {
    // AVX2 has no such conversion.
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

// By halves of vectors: large memory of V8 begins behind a header of malloc, at an odd multiple of
// their length.
template <bool kStreaming>
SAFETENSORS_AVX2 void RunMxfp4(const std::byte* source, const float* factors, float* target,
                               size_t blocks) {
  constexpr size_t kHalf = kEight / 2;
  for (size_t block = 0; block < blocks; block++) {
    __m256 values[kMxBlockElements / kEight];
    Codec<kF4>::Read(source + block * kMxfp4BlockBytes, values);
    const __m256 factor = _mm256_broadcast_ss(factors + block);
    for (size_t i = 0; i < kMxBlockElements / kEight; i++) {
      const __m256 product = _mm256_mul_ps(values[i], factor);
      float* const to = target + block * kMxBlockElements + i * kEight;
      if constexpr (kStreaming) {
        _mm_stream_ps(to, _mm256_castps256_ps128(product));
        _mm_stream_ps(to + kHalf, _mm256_extractf128_ps(product, 1));
      } else {
        _mm256_storeu_ps(to, product);
      }
    }
  }
}

void DecodeMxfp4(const std::byte* source, const float* factors, float* target, size_t blocks,
                 Stores stores) {
  const bool aligned = ElementsToAlignment(target, sizeof(__m128)) == 0;
  if (stores == Stores::kStreaming && aligned) {
    RunMxfp4<true>(source, factors, target, blocks);
  } else {
    RunMxfp4<false>(source, factors, target, blocks);
  }
}

constexpr auto kDecode =
    ForEachFormat<DecodeKernel>([]<Format kFormat>() -> DecodeKernel { return Decode<kFormat>; });
constexpr auto kScaled = ForEachFormat<ScaledKernel>([]<Format kFormat>() -> ScaledKernel {
  if constexpr (HasScaled(kFormat)) return DecodeScaled<kFormat>;
  return nullptr;
});

}  // namespace
}  // namespace avx2

const KernelSet kAvx2Kernels = {"avx2", avx2::kDecode, avx2::kScaled, avx2::DecodeMxfp4,
                                kAvx2Encoders};

}  // namespace safetensors

#endif
