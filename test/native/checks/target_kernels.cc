#include <bit>
#include <cmath>

#include "exact.h"
#include "expect.h"
#include "kernels/kernels.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kMostElements = 700;

const KernelSet& Scalar() { return *AvailableKernels().back(); }

bool AreEqual(std::span<const float> a, std::span<const float> b) {
  return std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

bool AreEqualButForNans(std::span<const float> a, std::span<const float> b) {
  for (size_t i = 0; i < a.size(); i++) {
    const bool same = std::bit_cast<uint32_t>(a[i]) == std::bit_cast<uint32_t>(b[i]);
    if (!same && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  }
  return true;
}

void Decoding(Input& input, const KernelSet& set, size_t format, size_t count, Stores stores) {
  const Exact<std::byte> source(kFormats[format].bytes(count), input.Below(64));
  const Exact<float> target(count, 4 * input.Below(16));
  const Exact<float> expected(count);
  source.FillFrom(input.Rest());
  Scalar().decode[format](source.data(), expected.data(), count, Stores::kCached);
  set.decode[format](source.data(), target.data(), count, stores);
  FinishStores(stores);
  EXPECT(AreEqual(target.span(), expected.span()));
}

void Scaling(Input& input, const KernelSet& set, size_t format, size_t count, Stores stores) {
  const Exact<std::byte> source(kFormats[format].bytes(count), input.Below(64));
  const Exact<float> factors(count, 4 * input.Below(16));
  const Exact<float> target(count, 4 * input.Below(16));
  const Exact<float> expected(count);
  source.FillFrom(input.Rest());
  factors.FillFrom(input.Rest());
  Scalar().scaled[format](source.data(), factors.data(), expected.data(), count, Stores::kCached);
  set.scaled[format](source.data(), factors.data(), target.data(), count, stores);
  FinishStores(stores);
  EXPECT(AreEqualButForNans(target.span(), expected.span()));
}

void Encoding(Input& input, const KernelSet& set, size_t format, size_t count) {
  const Exact<float> source(count, 4 * input.Below(16));
  const Exact<std::byte> target(kFormats[format].bytes(count), input.Below(64));
  const Exact<std::byte> expected(target.size());
  const bool saturate = input.Chance();
  source.FillFrom(input.Rest());
  Scalar().encode[format](source.data(), expected.data(), count, saturate);
  set.encode[format](source.data(), target.data(), count, saturate);
  EXPECT(std::memcmp(target.data(), expected.data(), target.size()) == 0);
}

}  // namespace

void Kernels(Input input) {
  const auto sets = AvailableKernels();
  const KernelSet& set = *sets[input.Below(sets.size())];
  const size_t format = input.Below(kFormatCount);
  const size_t group = kFormats[format].group();
  const size_t count = input.Below(kMostElements) / group * group;
  const Stores stores = input.Chance() ? Stores::kStreaming : Stores::kCached;
  switch (input.Below(3)) {
    case 0:
      return Decoding(input, set, format, count, stores);
    case 1:
      if (set.scaled[format] != nullptr) Scaling(input, set, format, count, stores);
      return;
    default:
      if (set.encode[format] != nullptr) Encoding(input, set, format, count);
  }
}

}  // namespace safetensors::test
