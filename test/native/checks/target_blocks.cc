#include <bit>
#include <cmath>

#include "exact.h"
#include "expect.h"
#include "kernels/blocks.h"
#include "targets.h"

namespace safetensors::test {
namespace {

void ExpectProduct(float product, float value, float scale) {
  const float expected = value * scale;
  const bool nans = std::isnan(product) && std::isnan(expected);
  EXPECT(nans || std::bit_cast<uint32_t>(product) == std::bit_cast<uint32_t>(expected));
}

Exact<float> Decoded(Format format, const Exact<std::byte>& source, size_t count) {
  Exact<float> values(count);
  AvailableKernels().back()->decode[static_cast<size_t>(format)](source.data(), values.data(),
                                                                 count, Stores::kCached);
  return values;
}

void DecodingTiles(Input& input, const KernelSet& set, Stores stores) {
  const size_t format = input.Below(kFormatCount);
  if (set.scaled[format] == nullptr) return;
  const size_t group = kFormats[format].group();
  const bool wide = input.Below(16) == 0;  // wider than the factors that are spelled out at once
  const size_t columns =
      (wide ? 65536 + input.Below(300) : input.Below(300) + group) / group * group;
  const size_t rows = input.Below(wide ? 3 : 20);
  const Tiles tiles{columns, input.Size(rows) + 1, input.Size(columns) + 1};
  const size_t down = rows / tiles.tile_rows + (rows % tiles.tile_rows != 0);
  const size_t across = (columns + tiles.tile_columns - 1) / tiles.tile_columns;
  EXPECT(tiles.across() == across);
  const size_t count = rows * columns;
  const Exact<std::byte> weights(kFormats[format].bytes(count), input.Below(64));
  const Exact<float> scales(down * across, 4 * input.Below(16));
  const Exact<float> target(count, 4 * input.Below(16));
  weights.FillFrom(input.Rest());
  scales.FillFrom(input.Rest());
  DecodeTiles(set, static_cast<Format>(format), weights.data(), scales.data(), target.data(), rows,
              tiles, stores);
  FinishStores(stores);
  const Exact<float> values = Decoded(static_cast<Format>(format), weights, count);
  for (size_t row = 0; row < rows; row++) {
    for (size_t column = 0; column < columns; column++) {
      const size_t tile = row / tiles.tile_rows * across + column / tiles.tile_columns;
      const size_t at = row * columns + column;
      ExpectProduct(target.data()[at], values.data()[at], scales.data()[tile]);
    }
  }
}

void DecodingMxfp4(Input& input, const KernelSet& set, Stores stores) {
  const size_t count = input.Below(300);
  const Exact<std::byte> blocks(count * kMxfp4BlockBytes, input.Below(64));
  const Exact<std::byte> scales(count, input.Below(64));
  const Exact<float> target(count * kMxBlockElements, 4 * input.Below(16));
  blocks.FillFrom(input.Rest());
  scales.FillFrom(input.Rest());
  DecodeMxfp4(set, blocks.data(), scales.data(), target.data(), count, stores);
  FinishStores(stores);
  const Exact<float> values = Decoded(Format::kF4, blocks, target.size());
  const Exact<float> powers = Decoded(Format::kE8M0, scales, count);
  for (size_t i = 0; i < target.size(); i++) {
    ExpectProduct(target.data()[i], values.data()[i], powers.data()[i / kMxBlockElements]);
  }
}

}  // namespace

void Blocks(Input input) {
  const auto sets = AvailableKernels();
  const KernelSet& set = *sets[input.Below(sets.size())];
  const Stores stores = input.Chance() ? Stores::kStreaming : Stores::kCached;
  if (input.Chance()) return DecodingTiles(input, set, stores);
  DecodingMxfp4(input, set, stores);
}

}  // namespace safetensors::test
