// What the vector kernels share: whole blocks by vectors, odd ends one group at a time.
#pragma once

#include "kernels/scalar.h"

namespace safetensors {

// Elements before `target` is a multiple of `alignment` bytes.
inline size_t ElementsToAlignment(const float* target, size_t alignment) {
  const size_t past = reinterpret_cast<uintptr_t>(target) % alignment;
  return past == 0 ? 0 : (alignment - past) / sizeof(float);
}

// Blocks::Run<kScaled, kStreaming>(source, factors, target, blocks) decodes whole blocks of
// Blocks::kElements elements; to `target` at a multiple of Blocks::kAlignment when kStreaming.
template <Format kFormat, class Blocks, bool kScaled>
void Drive(const std::byte* source, const float* factors, float* target, size_t count,
           Stores stores) {
  constexpr FormatInfo kInfo = InfoOf(kFormat);
  static_assert(Blocks::kElements % kInfo.group() == 0);
  const auto scalar = [&](size_t from, size_t to) {
    const std::byte* const bytes = source + kInfo.bytes(from);
    if constexpr (kScaled) {
      DecodeScaledScalar<kFormat>(bytes, factors + from, target + from, to - from);
    } else {
      DecodeScalar<kFormat>(bytes, target + from, to - from);
    }
  };
  size_t done = 0;
  bool streaming = stores == Stores::kStreaming;
  if (streaming) {
    const size_t head = ElementsToAlignment(target, Blocks::kAlignment);
    streaming = head <= count && head % kInfo.group() == 0;
    if (streaming) {
      scalar(0, head);
      done = head;
    }
  }
  const size_t blocks = (count - done) / Blocks::kElements;
  const std::byte* const bytes = source + kInfo.bytes(done);
  const float* const block_factors = kScaled ? factors + done : nullptr;
  if (streaming) {
    Blocks::template Run<kScaled, true>(bytes, block_factors, target + done, blocks);
  } else {
    Blocks::template Run<kScaled, false>(bytes, block_factors, target + done, blocks);
  }
  scalar(done + blocks * Blocks::kElements, count);
}

}  // namespace safetensors
