// A hash index over names that lie in memory, built at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace safetensors {

// What src/header/name-index.ts keeps, which looks names up: see there for the hash and its key.
struct NameIndex {
  std::span<const std::byte> bytes;
  std::span<const int32_t> starts;  // of the names in `bytes`
  std::span<const int32_t> ends;
  // Pairs of (name + 1, hash), 0 where free; 2^n pairs, more than there are names.
  std::span<int32_t> slots;
  uint32_t key0;
  uint32_t key1;

  // Adds all names in their order, up to the first that is there already, or that does not lie in
  // `bytes`; how many it added. Clears the slots first.
  size_t InsertDistinct() const;
};

}  // namespace safetensors
