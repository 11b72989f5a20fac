#include "kernels/blocks.h"

#include <algorithm>

#include "kernels/scalar.h"

namespace safetensors {
namespace {

// Factors are spelled out for so many elements at once: 16 KiB, which stay in the first cache.
constexpr size_t kRun = 4096;

}  // namespace

void DecodeTiles(const KernelSet& kernels, Format format, const std::byte* weights,
                 const float* scales, float* target, size_t rows, const Tiles& tiles,
                 Stores stores) {
  const ScaledKernel decode = kernels.scaled[static_cast<size_t>(format)];
  const FormatInfo& info = InfoOf(format);
  alignas(64) float factors[kRun];
  for (size_t top = 0; top < rows; top += tiles.tile_rows, scales += tiles.across()) {
    const size_t bottom = top + std::min(rows - top, tiles.tile_rows);
    for (size_t left = 0; left < tiles.columns; left += kRun) {
      const size_t width = std::min(kRun, tiles.columns - left);
      for (size_t i = 0; i < width;) {
        const size_t tile = (left + i) / tiles.tile_columns;
        const size_t end = std::min(width, (tile + 1) * tiles.tile_columns - left);
        std::fill(factors + i, factors + end, scales[tile]);
        i = end;
      }
      for (size_t row = top; row < bottom; row++) {
        const size_t at = row * tiles.columns + left;
        decode(weights + info.bytes(at), factors, target + at, width, stores);
      }
    }
  }
}

void DecodeMxfp4(const KernelSet& kernels, const std::byte* blocks, const std::byte* scales,
                 float* target, size_t count, Stores stores) {
  constexpr size_t kBlocks = kRun / kMxBlockElements;
  const ScaledKernel decode = kernels.scaled[static_cast<size_t>(Format::kF4)];
  alignas(64) float factors[kRun];
  for (size_t first = 0; first < count; first += kBlocks) {
    const size_t here = std::min(kBlocks, count - first);
    for (size_t i = 0; i < here; i++) {
      float scale;
      DecodeGroup<Format::kE8M0>(scales + first + i, &scale);
      float* const run = factors + i * kMxBlockElements;
      std::fill(run, run + kMxBlockElements, scale);
    }
    decode(blocks + first * kMxfp4BlockBytes, factors, target + first * kMxBlockElements,
           here * kMxBlockElements, stores);
  }
}

}  // namespace safetensors
