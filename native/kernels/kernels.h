// Kernels between the number formats and F32: one set for each instruction set, all of them equal
// to the scalar one bit for bit.
//
// NaN, one rule for both directions: the sign and as many of the upper mantissa bits as fit are
// kept, and the result is quiet. Exceptions: BF16 and F32 decode to exactly their bits; F8_E8M0,
// the FNUZ pair and F8_E4M3 have a single NaN for each sign they have. Where a NaN is multiplied
// (`scaled`), only that the result is one is promised.
//
// Everything else is exact, or rounds to the nearest, ties to even (F8_E8M0: upwards). Reentrant;
// nothing is allocated and nothing outside the ranges is read or written.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "kernels/formats.h"

namespace safetensors {

// How results reach memory: through the caches, or around them, which does not read the lines that
// are overwritten. The latter is nearly twice as fast into memory that no cache holds, and half as
// fast into pages that have never been touched (the kernel has just cleared them in the cache).
enum class Stores : bool { kCached, kStreaming };

// After streaming, and before another thread is told of the results: they may be on their way
// still. Waits for them, and is therefore no part of the kernels.
void FinishStores(Stores stores);

// `count` is a multiple of the format's group. `source` may be at any address.
using DecodeKernel = void (*)(const std::byte* source, float* target, size_t count, Stores stores);

// target[i] = decoded[i] * factors[i]
using ScaledKernel = void (*)(const std::byte* source, const float* factors, float* target,
                              size_t count, Stores stores);

// MXFP4 (see blocks.h): target[i] = decoded[i] * factors[i / kMxBlockElements].
inline constexpr size_t kMxBlockElements = 32;
inline constexpr size_t kMxfp4BlockBytes = 16;
using Mxfp4Kernel = void (*)(const std::byte* source, const float* factors, float* target,
                             size_t blocks, Stores stores);

// What is too large for the format becomes an infinity, or NaN where there is none; the largest
// finite number when `saturate`, infinities too. `target` may be at any address.
using EncodeKernel = void (*)(const float* source, std::byte* target, size_t count, bool saturate);

template <typename Kernel>
using ByFormat = std::array<Kernel, kFormatCount>;  // nullptr where there is none

struct KernelSet {
  const char* name;
  ByFormat<DecodeKernel> decode;
  ByFormat<ScaledKernel> scaled;  // F4 and the F8 that are no powers of two
  Mxfp4Kernel mxfp4;
  const ByFormat<EncodeKernel>& encode;  // BF16, F16 and all F8
};

// The sets that this processor can run, the best first, scalar last. Found out once.
std::span<const KernelSet* const> AvailableKernels();

}  // namespace safetensors
