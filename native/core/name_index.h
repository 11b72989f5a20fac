// A hash index over names that lie in memory, built at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace safetensors {

using Name = std::span<const std::byte>;

// Names in memory: number `i` at bytes[starts[i], ends[i]). Places are not known to lie there.
struct Names {
  std::span<const std::byte> bytes;
  std::span<const int32_t> starts;
  std::span<const int32_t> ends;

  bool Has(size_t i) const {
    return i < starts.size() && starts[i] >= 0 && starts[i] <= ends[i] &&
           static_cast<size_t>(ends[i]) <= bytes.size();
  }
  // Of one that it has.
  Name At(size_t i) const {
    const auto start = static_cast<size_t>(starts[i]);
    return bytes.subspan(start, static_cast<size_t>(ends[i]) - start);
  }
};

// What src/header/name-index.ts keeps, which looks up single names: see there for the hash and its
// key.
struct NameIndex {
  Names names;
  // Pairs of (name + 1, hash), 0 where free; 2^n pairs, more than there are names.
  std::span<int32_t> slots;
  uint32_t key0;
  uint32_t key1;

  // Adds all names in their order, up to the first that is there already, or that does not lie in
  // its bytes; how many it added. Clears the slots first.
  size_t InsertDistinct() const;

  // The number here of each of `others`, or -1.
  void Find(const Names& others, std::span<int32_t> found) const;

 private:
  std::optional<size_t> FindOne(Name name) const;
};

}  // namespace safetensors
