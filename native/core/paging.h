// What the system is told of pages, for speed alone: what it refuses, page faults will do.
#pragma once

#include <cstddef>
#include <span>

namespace safetensors {

// Gives large memory its pages at once, huge ones where the system has them: a page fault for each
// 4 KiB takes longer than reading what goes there (12 MB: 3.1 ms against 1.7).
void PopulatePages(std::span<std::byte> memory);

// Parts of a mapped file that will be read soon.
//
// A page fault on a page that is not in memory reads what lies around it too, as much as the disk's
// read-ahead: up to 8 MiB for a run of a few KiB. Asking for exactly the pages that runs lie in
// brings in no other, and has many reads under way at once (128 MiB in runs of 8 KiB out of 1 GiB,
// cold: 0.18 s; by faults 0.65 s and 5.3 times the pages; with pread, which needs a descriptor, 1.1
// s on one thread, 0.36 s on four; with MADV_RANDOM 3.1 s).
class NeededPages {
 public:
  NeededPages();

  // Bytes that will be read. Parts that share pages, or lie on neighbouring ones, are asked for as
  // one.
  void Add(const std::byte* begin, size_t bytes);

  // Asks for what has been added since.
  void Ask();

 private:
  const size_t page_;
  size_t first_ = 0;  // addresses; first_ == last_ when there is nothing to ask for
  size_t last_ = 0;
};

}  // namespace safetensors
