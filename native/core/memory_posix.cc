#include <sys/mman.h>

#include <cstdint>

#include "core/memory.h"

namespace safetensors {

void PopulatePages(std::span<std::byte> memory, size_t begin, size_t end) {
#ifdef __linux__
  constexpr uintptr_t kPage = 4096;
  constexpr uintptr_t kHugePage = uintptr_t{2} << 20;
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  const uintptr_t first_huge = (address + kHugePage - 1) & ~(kHugePage - 1);
  const uintptr_t last_huge = (address + memory.size()) & ~(kHugePage - 1);
  if (first_huge >= last_huge) return;
  // All of the memory, each time: parts of their own would each become a mapping of their own.
  madvise(reinterpret_cast<void*>(first_huge), last_huge - first_huge, MADV_HUGEPAGE);
#ifdef MADV_POPULATE_WRITE
  const uintptr_t first = (address + begin) & ~(kPage - 1);
  madvise(reinterpret_cast<void*>(first), address + end - first, MADV_POPULATE_WRITE);
#endif
#else
  static_cast<void>(memory);
  static_cast<void>(begin);
  static_cast<void>(end);
#endif
}

}  // namespace safetensors
