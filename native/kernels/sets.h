// The sets that this build has, and what they are put together from.
#pragma once

#include <utility>

#include "kernels/kernels.h"

namespace safetensors {

extern const KernelSet kScalarKernels;  // decode_scalar.cc
#if defined(__x86_64__)
#define SAFETENSORS_AVX2 __attribute__((target("avx2,f16c")))
extern const KernelSet kAvx2Kernels;                // decode_avx2.cc
extern const ByFormat<EncodeKernel> kAvx2Encoders;  // encode_avx2.cc
// decode_avx512.cc; nullptr where AVX2 does as well.
extern const ByFormat<DecodeKernel> kAvx512Decoders;
extern const ByFormat<ScaledKernel> kAvx512Scaled;
#elif defined(__aarch64__)
extern const KernelSet kNeonKernels;                // decode_neon.cc
extern const ByFormat<EncodeKernel> kNeonEncoders;  // encode_neon.cc
#endif

// Which formats have which kernels.
constexpr bool HasScaled(Format format) {
  using enum Format;
  return format == kF4 || format == kE4M3 || format == kE5M2 || format == kE4M3Fnuz ||
         format == kE5M2Fnuz;
}
constexpr bool HasEncode(Format format) {
  using enum Format;
  return (HasScaled(format) && format != kF4) || format == kE8M0 || format == kBf16 ||
         format == kF16;
}

// An array of `of.operator()<format>()` for every format.
template <typename Kernel, typename Of>
constexpr ByFormat<Kernel> ForEachFormat(Of of) {
  return [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
    return ByFormat<Kernel>{of.template operator()<static_cast<Format>(kIndex)>()...};
  }(std::make_index_sequence<kFormatCount>{});
}

}  // namespace safetensors
