#include <optional>

#include "core/gather.h"
#include "exact.h"
#include "expect.h"
#include "scratch_file.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr uint64_t kMostTarget = 1 << 14;
constexpr uint64_t kMappedBytes = 3 * 4096 + 123;

using Wide = __int128;

// Byte for byte where the bytes of the target come from; nothing unless all of them lie in the
// source and there are `target_bytes` of them.
std::optional<std::vector<uint64_t>> Places(const Runs& runs, uint64_t source_bytes,
                                            uint64_t target_bytes) {
  Wide count = 1;
  for (const RunAxis& axis : runs.axes) {
    count *= axis.count;
    if (count > Wide{kMostTarget}) return std::nullopt;
  }
  if (count * runs.run_bytes != target_bytes) return std::nullopt;
  std::vector<uint64_t> places;
  for (uint64_t run = 0; run < static_cast<uint64_t>(count); run++) {
    Wide at = runs.begin;
    uint64_t index = run;
    for (size_t axis = runs.axes.size(); axis-- > 0;) {
      at += Wide{runs.axes[axis].stride} * static_cast<Wide>(index % runs.axes[axis].count);
      index /= runs.axes[axis].count;
    }
    if (at < 0 || at + runs.run_bytes > source_bytes) return std::nullopt;
    for (uint64_t i = 0; i < runs.run_bytes; i++) places.push_back(static_cast<uint64_t>(at) + i);
  }
  return places;
}

// Mostly such as fit; else anything.
Runs TakeRuns(Input& input, uint64_t source_bytes) {
  const bool modest = input.Below(4) != 0;
  const auto size = [&](uint64_t most) { return modest ? input.Below(most) : input.Size(most); };
  Runs runs{size(source_bytes + 1), size(20) + (modest ? 1 : 0), {}};
  for (uint64_t left = input.Below(5); left > 0; left--) {
    const uint64_t count = size(6) + (modest ? 1 : 0);
    const auto stride = static_cast<int64_t>(size(source_bytes / 16 + 1));
    runs.axes.push_back({count, input.Chance() ? stride : -stride});
  }
  return runs;
}

// Of the runs' bytes; what they should be, or anything.
uint64_t TakeTargetBytes(Input& input, const Runs& runs) {
  if (input.Below(8) == 0) return input.Below(kMostTarget);
  uint64_t bytes = runs.run_bytes;
  for (const RunAxis& axis : runs.axes) bytes = Times(bytes, axis.count);
  return bytes;
}

void ExpectBytes(std::span<const std::byte> target, const std::vector<uint64_t>& places,
                 uint64_t begin, uint64_t end) {
  for (uint64_t i = 0; i < target.size(); i++) {
    const uint8_t expected = i >= begin && i < end ? PatternAt(places[i]) : 0xa5;
    EXPECT(std::to_integer<uint8_t>(target[i]) == expected);
  }
}

std::shared_ptr<Mapping> MapPattern() {
  static const ScratchFile* const file = new ScratchFile(kMappedBytes);
  auto mapping = Mapping::Reserve(kMappedBytes);
  EXPECT(mapping.ok() && mapping.value->MapFile(file->file(), kMappedBytes, 0).ok());
  return mapping.value;
}

}  // namespace

void Gathering(Input input) {
  static const std::shared_ptr<Mapping> mapping = MapPattern();
  const bool mapped = input.Chance();
  const uint64_t source_bytes = mapped ? kMappedBytes : input.Below(3000);
  const Runs runs = TakeRuns(input, source_bytes);
  const uint64_t target_bytes = TakeTargetBytes(input, runs);
  const bool within = AreWithin(runs, source_bytes, target_bytes);
  if (target_bytes > kMostTarget) return;
  const auto places = Places(runs, source_bytes, target_bytes);
  EXPECT(within == (places && !places->empty()));
  if (!within) return;

  const Exact<std::byte> target(target_bytes);
  uint64_t begin = input.Below(target_bytes + 1);
  uint64_t end = input.Below(target_bytes + 1);
  if (input.Chance()) begin = 0, end = target_bytes;
  if (begin > end) std::swap(begin, end);
  if (mapped) {
    EXPECT(GatherMapped(runs, *mapping, target.span(), begin, end).ok());
  } else {
    const std::vector<uint8_t> pattern = Pattern(source_bytes);
    const Exact<std::byte> source(source_bytes);
    source.FillFrom(pattern);
    Gather(runs, source.data(), target.span(), begin, end);
  }
  ExpectBytes(target.span(), *places, begin, end);
}

}  // namespace safetensors::test
