#include "kernels/blocks.h"

#include <algorithm>
#include <vector>

#include "kernels/drive.h"

namespace safetensors {
namespace {

// Factors are spelled out for so many elements at most: 256 KiB, which stay in the second cache.
constexpr size_t kLongestRow = 65536;
// Blocks whose scales are decoded at once: into the first cache.
constexpr size_t kRun = 1024;

constexpr size_t kLineBytes = 64;
constexpr size_t kLineElements = kLineBytes / sizeof(float);

// Where streaming kernels are best called: a line that is written in two parts, or not by vectors
// alone, costs as much as a thousand that are not.
class Lines {
 public:
  Lines(const float* target, Stores stores, size_t group) {
    const size_t first = ElementsToAlignment(target, kLineBytes);
    if (stores == Stores::kStreaming && first % group == 0) first_ = first;
  }

  // The first element from `at` on that begins a line; `at` itself where none is to be looked for.
  size_t NextFrom(size_t at) const {
    if (first_ == kNone) return at;
    return at + (first_ + kLineElements - at % kLineElements) % kLineElements;
  }

 private:
  static constexpr size_t kNone = ~size_t{0};
  size_t first_ = kNone;
};

// The factors of a row's elements [left, left + width), and those of a line beyond, as if the row
// began again.
void SpellOut(const float* scales, size_t tile_columns, size_t left, size_t width, float* factors) {
  for (size_t i = 0; i < width;) {
    const size_t tile = (left + i) / tile_columns;
    const size_t left_in_tile = (tile + 1) * tile_columns - left - i;
    const size_t end = i + std::min(width - i, left_in_tile);
    std::fill(factors + i, factors + end, scales[tile]);
    i = end;
  }
  for (size_t i = width; i < width + kLineElements; i++) factors[i] = factors[i - width];
}

}  // namespace

void DecodeTiles(const KernelSet& kernels, Format format, const std::byte* weights,
                 const float* scales, float* target, size_t rows, const Tiles& tiles,
                 Stores stores) {
  const ScaledKernel decode = kernels.scaled[static_cast<size_t>(format)];
  const FormatInfo& info = InfoOf(format);
  const size_t columns = tiles.columns;
  const Lines lines(target, stores, info.group());
  std::vector<float> factors(std::min(columns, kLongestRow) + kLineElements);
  for (size_t top = 0; top < rows; top += tiles.tile_rows, scales += tiles.across()) {
    const size_t bottom = top + std::min(rows - top, tiles.tile_rows);
    for (size_t left = 0; left < columns; left += kLongestRow) {
      const size_t width = std::min(kLongestRow, columns - left);
      const bool whole = width == columns;
      SpellOut(scales, tiles.tile_columns, left, width, factors.data());
      size_t at = top * columns + left;
      for (size_t row = top; row < bottom; row++) {
        const size_t begin = row * columns + left;
        if (!whole) at = begin;
        // A whole row takes what the next ones have of the line that it ends in: all, where they
        // are short.
        const size_t end =
            whole ? std::min(lines.NextFrom(begin + width), bottom * columns) : begin + width;
        decode(weights + info.bytes(at), factors.data() + (at - begin), target + at, end - at,
               stores);
        at = end;
      }
    }
  }
}

void DecodeMxfp4(const KernelSet& kernels, const std::byte* blocks, const std::byte* scales,
                 float* target, size_t count, Stores stores) {
  const DecodeKernel decode_scales = kernels.decode[static_cast<size_t>(Format::kE8M0)];
  float factors[kRun];
  for (size_t begin = 0; begin < count; begin += kRun) {
    const size_t run = std::min(kRun, count - begin);
    decode_scales(scales + begin, factors, run, Stores::kCached);
    kernels.mxfp4(blocks + begin * kMxfp4BlockBytes, factors, target + begin * kMxBlockElements,
                  run, stores);
  }
}

}  // namespace safetensors
