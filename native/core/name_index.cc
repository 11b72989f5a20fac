#include "core/name_index.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace safetensors {
namespace {

uint32_t LoadWord(const std::byte* bytes, size_t count) {
  uint32_t word = 0;
  std::memcpy(&word, bytes, count);
  return word;
}

// HalfSipHash-1-3 (Aumasson and Bernstein 2012), 32 bits: hashName of name-index.ts, bit for bit.
uint32_t HashName(std::span<const std::byte> name, uint32_t key0, uint32_t key1) {
  uint32_t v0 = key0;
  uint32_t v1 = key1;
  uint32_t v2 = 0x6c796765 ^ key0;
  uint32_t v3 = 0x74656462 ^ key1;
  const auto round = [&](uint32_t word) {
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
  };
  const size_t whole = name.size() / 4 * 4;
  for (size_t i = 0; i < whole; i += 4) round(LoadWord(name.data() + i, 4));
  round(LoadWord(name.data() + whole, name.size() - whole) | static_cast<uint32_t>(name.size())
                                                                 << 24);
  v2 ^= 0xff;
  for (int i = 0; i < 3; ++i) round(0);
  return v1 ^ v3;
}

}  // namespace

size_t NameIndex::InsertDistinct() const {
  // Hashes of several names at once, before any branch depends on one: the processor overlaps them.
  constexpr size_t kBatch = 32;
  std::array<uint32_t, kBatch> hashes{};
  std::array<std::span<const std::byte>, kBatch> names;
  const size_t count = starts.size();
  const size_t mask = slots.size() / 2 - 1;
  const auto name_at = [&](size_t i) {
    return bytes.subspan(static_cast<size_t>(starts[i]), static_cast<size_t>(ends[i] - starts[i]));
  };
  for (size_t first = 0; first < count; first += kBatch) {
    size_t batch = std::min(kBatch, count - first);
    for (size_t i = 0; i < batch; ++i) {
      const int32_t start = starts[first + i];
      const int32_t end = ends[first + i];
      if (start < 0 || end < start || static_cast<size_t>(end) > bytes.size()) return first + i;
      names[i] = name_at(first + i);
      hashes[i] = HashName(names[i], key0, key1);
      __builtin_prefetch(&slots[2 * (hashes[i] & mask)]);
    }
    for (size_t i = 0; i < batch; ++i) {
      size_t slot = hashes[i] & mask;
      for (; slots[2 * slot] != 0; slot = (slot + 1) & mask) {
        const auto other = static_cast<size_t>(slots[2 * slot]) - 1;
        if (static_cast<uint32_t>(slots[2 * slot + 1]) != hashes[i] || other >= first + i) continue;
        const std::span<const std::byte> same = name_at(other);
        if (std::ranges::equal(same, names[i])) return first + i;
      }
      slots[2 * slot] = static_cast<int32_t>(first + i + 1);
      slots[2 * slot + 1] = static_cast<int32_t>(hashes[i]);
    }
  }
  return count;
}

}  // namespace safetensors
