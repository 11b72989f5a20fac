#include "core/name_index.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

namespace safetensors {
namespace {

uint32_t LoadWord(const std::byte* bytes, size_t count) {
  uint32_t word = 0;
  std::memcpy(&word, bytes, count);
  return word;
}

// HalfSipHash-1-3 (Aumasson and Bernstein 2012), 32 bits: hashName of name-index.ts, bit for bit.
struct HalfSipHash {
  uint32_t v0, v1, v2, v3;

  HalfSipHash(uint32_t key0, uint32_t key1)
      : v0(key0), v1(key1), v2(0x6c796765 ^ key0), v3(0x74656462 ^ key1) {}

  void Round(uint32_t word) {
    v3 ^= word;
    v0 += v1;
    v1 = std::rotl(v1, 5) ^ v0;
    v0 = std::rotl(v0, 16);
    v2 += v3;
    v3 = std::rotl(v3, 8) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 7) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 13) ^ v2;
    v2 = std::rotl(v2, 16);
    v0 ^= word;
  }

  // Takes in what is left of a name from its byte `from` on.
  uint32_t Finish(std::span<const std::byte> name, size_t from) {
    const size_t whole = name.size() / 4 * 4;
    for (size_t i = from; i < whole; i += 4) Round(LoadWord(name.data() + i, 4));
    Round(LoadWord(name.data() + whole, name.size() - whole) | static_cast<uint32_t>(name.size())
                                                                   << 24);
    v2 ^= 0xff;
    for (int i = 0; i < 3; ++i) Round(0);
    return v1 ^ v3;
  }
};

bool Same(Name a, Name b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

// Hashes of several names in step: each round of one waits for the round before, but not for those
// of the others.
template <size_t kLanes>
void HashNames(const Name* names, uint32_t key0, uint32_t key1, uint32_t* hashes) {
  std::array<HalfSipHash, kLanes> states = [&]<size_t... kLane>(std::index_sequence<kLane...>) {
    return std::array{(static_cast<void>(kLane), HalfSipHash(key0, key1))...};
  }(std::make_index_sequence<kLanes>{});
  size_t common = names[0].size();
  for (size_t lane = 1; lane < kLanes; ++lane) common = std::min(common, names[lane].size());
  common = common / 4 * 4;
  for (size_t i = 0; i < common; i += 4) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      states[lane].Round(LoadWord(names[lane].data() + i, 4));
    }
  }
  for (size_t lane = 0; lane < kLanes; ++lane) {
    hashes[lane] = states[lane].Finish(names[lane], common);
  }
}

}  // namespace

size_t NameIndex::InsertDistinct() const {
  // Hashes of several names before any branch depends on one, and before their slots are needed.
  constexpr size_t kBatch = 32;
  constexpr size_t kLanes = 4;
  std::array<uint32_t, kBatch> hashes{};
  std::array<Name, kBatch> batch_names;
  // New memory gets its pages here, in order: at the names' places it takes several times as long.
  std::ranges::fill(slots, 0);
  const size_t count = names.starts.size();
  const size_t mask = slots.size() / 2 - 1;
  for (size_t first = 0; first < count; first += kBatch) {
    const size_t wanted = std::min(kBatch, count - first);
    size_t batch = 0;
    for (; batch < wanted && names.Has(first + batch); ++batch) {
      batch_names[batch] = names.At(first + batch);
    }
    size_t hashed = 0;
    for (; hashed + kLanes <= batch; hashed += kLanes) {
      HashNames<kLanes>(&batch_names[hashed], key0, key1, &hashes[hashed]);
    }
    for (; hashed < batch; ++hashed) {
      HashNames<1>(&batch_names[hashed], key0, key1, &hashes[hashed]);
    }
    for (size_t i = 0; i < batch; ++i) __builtin_prefetch(&slots[2 * (hashes[i] & mask)]);
    for (size_t i = 0; i < batch; ++i) {
      size_t slot = hashes[i] & mask;
      for (; slots[2 * slot] != 0; slot = (slot + 1) & mask) {
        const auto other = static_cast<size_t>(slots[2 * slot]) - 1;
        if (static_cast<uint32_t>(slots[2 * slot + 1]) != hashes[i] || other >= first + i) continue;
        if (Same(names.At(other), batch_names[i])) return first + i;
      }
      slots[2 * slot] = static_cast<int32_t>(first + i + 1);
      slots[2 * slot + 1] = static_cast<int32_t>(hashes[i]);
    }
    if (batch < wanted) return first + batch;
  }
  return count;
}

namespace {

// Where a name is likely to be when those before it have been found: models repeat themselves,
// whatever the order of the index and of what is looked for, so that two steps from place to place
// lead to the next.
class NextPlace {
 public:
  size_t Guess() const { return last_ + static_cast<size_t>(int64_t{steps_[Slot()]}); }

  void Found(size_t place) {
    const auto step = static_cast<int32_t>(place - last_);
    steps_[Slot()] = step;
    before_ = step_;
    step_ = step;
    last_ = place;
  }

 private:
  static constexpr size_t kSteps = 256;

  size_t Slot() const {
    return (static_cast<uint32_t>(step_) * 31 + static_cast<uint32_t>(before_)) % kSteps;
  }

  std::array<int32_t, kSteps> steps_{};
  int32_t step_ = 0;
  int32_t before_ = 0;
  size_t last_ = 0;
};

}  // namespace

void NameIndex::Find(const Names& others, std::span<int32_t> found) const {
  std::ranges::fill(found, -1);
  NextPlace next;
  for (size_t i = 0; i < found.size() && others.Has(i); ++i) {
    const Name name = others.At(i);
    const size_t guess = next.Guess();
    const std::optional<size_t> place =
        names.Has(guess) && Same(names.At(guess), name) ? guess : FindOne(name);
    if (!place) continue;
    found[i] = static_cast<int32_t>(*place);
    next.Found(*place);
  }
}

std::optional<size_t> NameIndex::FindOne(Name name) const {
  uint32_t hash = 0;
  HashNames<1>(&name, key0, key1, &hash);
  const size_t pairs = slots.size() / 2;
  size_t slot = hash & (pairs - 1);
  // Nobody but this package has the slots; if they were full, they would be looked through once.
  for (size_t left = pairs; left > 0 && slots[2 * slot] != 0; --left) {
    const auto other = static_cast<size_t>(slots[2 * slot]) - 1;
    if (static_cast<uint32_t>(slots[2 * slot + 1]) == hash && names.Has(other) &&
        Same(names.At(other), name)) {
      return other;
    }
    slot = (slot + 1) & (pairs - 1);
  }
  return std::nullopt;
}

}  // namespace safetensors
