#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "core/paging.h"

namespace safetensors {
namespace {

// Linux cuts a request down to the larger of the read-ahead and what the disk takes at once, of
// which this is the least that is usual.
constexpr size_t kMostAtOnce = size_t{128} << 10;

}  // namespace

void PopulatePages(std::span<std::byte> memory) {
#ifdef __linux__
  constexpr uintptr_t kPage = 4096;
  constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
  const auto begin = reinterpret_cast<uintptr_t>(memory.data());
  const uintptr_t end = begin + memory.size();
  const uintptr_t first_huge = (begin + kHugePage - 1) & ~(kHugePage - 1);
  const uintptr_t last_huge = end & ~(kHugePage - 1);
  if (first_huge >= last_huge) return;
  madvise(reinterpret_cast<void*>(first_huge), last_huge - first_huge, MADV_HUGEPAGE);
#ifdef MADV_POPULATE_WRITE
  const uintptr_t first = begin & ~(kPage - 1);
  madvise(reinterpret_cast<void*>(first), end - first, MADV_POPULATE_WRITE);
#endif
#else
  static_cast<void>(memory);
#endif
}

NeededPages::NeededPages() : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {}

void NeededPages::Add(const std::byte* begin, size_t bytes) {
  const auto address = reinterpret_cast<uintptr_t>(begin);
  const size_t first = address & ~(page_ - 1);
  const size_t last = (address + bytes + page_ - 1) & ~(page_ - 1);
  if (first_ == last_) {
    first_ = first;
    last_ = last;
  } else if (first <= last_ && last >= first_) {
    first_ = std::min(first_, first);
    last_ = std::max(last_, last);
  } else {
    Ask();
    first_ = first;
    last_ = last;
  }
}

void NeededPages::Ask() {
  for (; first_ < last_; first_ += std::min(kMostAtOnce, last_ - first_)) {
    madvise(reinterpret_cast<void*>(first_), std::min(kMostAtOnce, last_ - first_), MADV_WILLNEED);
  }
}

}  // namespace safetensors
