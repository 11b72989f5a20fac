// Runs of bytes that lie apart, copied one behind the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace safetensors {

struct RunAxis {
  uint64_t count;
  int64_t stride;  // bytes from one run to the next; negative when they go backwards
};

struct Runs {
  uint64_t begin;             // of the first run, in the source
  uint64_t run_bytes;         // of each
  std::vector<RunAxis> axes;  // the innermost last
};

// Whether there are runs, all of them within `source_bytes`, that together fill `target_bytes`.
bool AreWithin(const Runs& runs, uint64_t source_bytes, uint64_t target_bytes);

// Copies them to `target`: of all the bytes that they are together, those from `begin` to `end`,
// each to its place. Only for what AreWithin has said yes to.
void Gather(const Runs& runs, const std::byte* source, std::byte* target, uint64_t begin,
            uint64_t end);

// The same from a mapped file, whose pages it sees to that they are in memory: those that it needs,
// and no others.
void GatherMapped(const Runs& runs, const std::byte* source, std::byte* target, uint64_t begin,
                  uint64_t end);

}  // namespace safetensors
