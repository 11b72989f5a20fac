// In place of the compiler's own: what native/kernels/decode_avx512.cc needs of it, in portable code, for
// processors without AVX-512. By SIMDe, in Debian `libsimde-dev`.
#pragma once

#define SIMDE_NO_NATIVE
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cstddef>
#include <cstdint>

// SIMDe's is a macro, which takes commas of template arguments for its own.
#undef _mm512_permutex2var_epi8
inline __m512i _mm512_permutex2var_epi8(__m512i low, __m512i places, __m512i high) {
  return simde_mm512_permutex2var_epi8(low, places, high);
}

// Two that SIMDe 0.7.4 does not have.
inline __m512i _mm512_maskz_loadu_epi8(uint64_t mask, const void* source) {
  alignas(64) uint8_t bytes[sizeof(__m512i)] = {};
  for (size_t i = 0; i < sizeof bytes; i++) {
    if ((mask >> i & 1) != 0) bytes[i] = static_cast<const uint8_t*>(source)[i];
  }
  return _mm512_load_si512(bytes);
}

inline void _mm512_stream_ps(float* target, __m512 values) { _mm512_store_ps(target, values); }
