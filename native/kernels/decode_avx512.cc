// What AVX-512 with VBMI does with fewer instructions than AVX2: formats of up to 8 bits, whose
// numbers are all numbers of BF16 too, by a table of each of its two bytes. 15 instructions for 64
// elements of F8_E4M3, where AVX2 takes 70: alone on a core both are as fast as memory, beside
// another thread only this is. BF16 and F16 gain nothing.
#include "kernels/sets.h"

#if defined(__x86_64__)

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes the undefined registers of its own headers for variables (its bug 105593).
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

#include "kernels/drive.h"

#ifndef SAFETENSORS_AVX512  // empty where the instructions are emulated: test/tools/kernels.ts
#define SAFETENSORS_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi")))
#endif
#define SAFETENSORS_INLINE SAFETENSORS_AVX512 static inline __attribute__((always_inline))

namespace safetensors {
namespace {

using enum Format;

constexpr size_t kBytes = sizeof(__m512i);

// One byte of the BF16 of 64 patterns, `first` and those after it; again from the format's first
// one where there are fewer.
template <Format kFormat>
constexpr std::array<uint8_t, kBytes> BytesOfTable(size_t first, int shift) {
  std::array<uint8_t, kBytes> bytes{};
  for (size_t i = 0; i < kBytes; i++) {
    const uint32_t bits = kTable<kFormat>[(first + i) % kTable<kFormat>.size()];
    bytes[i] = static_cast<uint8_t>(bits >> shift);
  }
  return bytes;
}

template <Format kFormat>
constexpr bool kIsBf16 = [] {
  for (const uint32_t bits : kTable<kFormat>) {
    if ((bits & 0xffff) != 0) return false;
  }
  return true;
}();

template <Format kFormat, size_t kFirst, int kShift>
struct Quarter {
  alignas(64) static constexpr auto kValues = BytesOfTable<kFormat>(kFirst, kShift);
  SAFETENSORS_INLINE __m512i Load() { return _mm512_load_si512(kValues.data()); }
};

// Groups of four elements, in the order that Widen takes them: group 4k + j of the source at 4j +
// k.
constexpr int GroupAt(int place) { return 4 * (place % 4) + place / 4; }

// Bytes of `count` to a group of the source at the start of each 4 bytes.
template <int kCount>
struct Spread {
  alignas(64) static constexpr auto kOrder = [] {
    std::array<uint8_t, kBytes> order{};
    for (int i = 0; i < 64; i++) {
      order[i] = static_cast<uint8_t>(kCount * GroupAt(i / 4) + (i % 4 < kCount ? i % 4 : 0));
    }
    return order;
  }();
  SAFETENSORS_INLINE __m512i Apply(__m512i bytes) {
    return _mm512_permutexvar_epi8(_mm512_load_si512(kOrder.data()), bytes);
  }
};

// A byte to each of 64 patterns, in that order. Of those of 4 and 6 bits the upper bits are
// anything.
template <Format kFormat>
SAFETENSORS_INLINE __m512i LoadCodes(const std::byte* source) {
  if constexpr (InfoOf(kFormat).bits == 8) {
    return Spread<4>::Apply(_mm512_loadu_si512(source));
  } else if constexpr (InfoOf(kFormat).bits == 6) {
    const __m512i bytes = _mm512_maskz_loadu_epi8((uint64_t{1} << 48) - 1, source);
    const __m512i places =
        _mm512_set1_epi64(0x322c2620'120c0600);  // bits 0, 6, 12, 18 of each half
    return _mm512_multishift_epi64_epi8(places, Spread<3>::Apply(bytes));
  } else {
    const __m512i bytes =
        _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)));
    const __m512i places = _mm512_set1_epi64(0x2c282420'0c080400);  // bits 0, 4, 8, 12 of each half
    return _mm512_multishift_epi64_epi8(places, Spread<2>::Apply(bytes));
  }
}

// One byte of each BF16.
template <Format kFormat, int kShift>
SAFETENSORS_INLINE __m512i LookUp(__m512i codes) {
  const __m512i first = Quarter<kFormat, 0, kShift>::Load();
  if constexpr (InfoOf(kFormat).bits < 8) {
    return _mm512_permutexvar_epi8(codes, first);
  } else {
    const __m512i low =
        _mm512_permutex2var_epi8(first, codes, Quarter<kFormat, 64, kShift>::Load());
    if constexpr (kFormat == kE4M3 || kFormat == kE5M2) {
      if constexpr (kShift == 16) return low;
      // The other half differs by the sign: low | (codes & 0x80).
      return _mm512_ternarylogic_epi32(low, codes, _mm512_set1_epi8(-128), 0xf8);
    } else {
      const __m512i high = _mm512_permutex2var_epi8(Quarter<kFormat, 128, kShift>::Load(), codes,
                                                    Quarter<kFormat, 192, kShift>::Load());
      return _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high);
    }
  }
}

template <Format kFormat>
struct Blocks {
  static_assert(kIsBf16<kFormat>);
  static constexpr size_t kElements = 64;
  static constexpr size_t kAlignment = sizeof(__m512);

  template <bool kScaled, bool kStreaming>
  SAFETENSORS_AVX512 static void Run(const std::byte* source, const float* factors, float* target,
                                     size_t blocks) {
    const __m512i zero = _mm512_setzero_si512();
    for (size_t at = 0; at < blocks * kElements; at += kElements) {
      const __m512i codes = LoadCodes<kFormat>(source + InfoOf(kFormat).bytes(at));
      const __m512i low = LookUp<kFormat, 16>(codes);
      const __m512i high = LookUp<kFormat, 24>(codes);
      const __m512i words[2] = {_mm512_unpacklo_epi8(low, high), _mm512_unpackhi_epi8(low, high)};
      for (size_t i = 0; i < 4; i++) {
        const __m512i bits = i % 2 == 0 ? _mm512_unpacklo_epi16(zero, words[i / 2])
                                        : _mm512_unpackhi_epi16(zero, words[i / 2]);
        __m512 values = _mm512_castsi512_ps(bits);
        float* const to = target + at + 16 * i;
        if constexpr (kScaled) {
          values = _mm512_mul_ps(values, _mm512_loadu_ps(factors + at + 16 * i));
        }
        if constexpr (kStreaming) {
          _mm512_stream_ps(to, values);
        } else {
          _mm512_storeu_ps(to, values);
        }
      }
    }
  }
};

constexpr bool HasTable(Format format) {
  return InfoOf(format).bits <= 6 || HasScaled(format) || format == kE8M0;
}

template <Format kFormat>
void Decode(const std::byte* source, float* target, size_t count, Stores stores) {
  Drive<kFormat, Blocks<kFormat>, false>(source, nullptr, target, count, stores);
}

template <Format kFormat>
void DecodeScaled(const std::byte* source, const float* factors, float* target, size_t count,
                  Stores stores) {
  Drive<kFormat, Blocks<kFormat>, true>(source, factors, target, count, stores);
}

}  // namespace

const ByFormat<DecodeKernel> kAvx512Decoders =
    ForEachFormat<DecodeKernel>([]<Format kFormat>() -> DecodeKernel {
      if constexpr (HasTable(kFormat)) return Decode<kFormat>;
      return nullptr;
    });

const ByFormat<ScaledKernel> kAvx512Scaled =
    ForEachFormat<ScaledKernel>([]<Format kFormat>() -> ScaledKernel {
      if constexpr (HasScaled(kFormat)) return DecodeScaled<kFormat>;
      return nullptr;
    });

}  // namespace safetensors

#endif
