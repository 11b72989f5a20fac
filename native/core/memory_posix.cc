#include <sys/mman.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <signal.h>
#endif

#include <cerrno>
#include <cstdint>
#include <optional>

#include "core/fault_guard.h"
#include "core/mapping.h"
#include "core/memory.h"

namespace safetensors {

namespace {

constexpr uintptr_t kHugePage = uintptr_t{2} << 20;  // of x86-64, and of arm64 with 4 KiB pages

// Whether there is a whole huge page to ask for.
bool AdviseHugePages(std::span<std::byte> memory) {
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  const uintptr_t first = (address + kHugePage - 1) & ~(kHugePage - 1);
  const uintptr_t last = (address + memory.size()) & ~(kHugePage - 1);
  if (first >= last) return false;
#ifdef MADV_HUGEPAGE
  madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
  return true;
}

}  // namespace

void PopulatePages(std::span<std::byte> memory, size_t begin, size_t end) {
  // All of the memory, each time: parts of their own would each become a mapping of their own.
  if (!AdviseHugePages(memory)) return;
#ifdef MADV_POPULATE_WRITE
  const uint64_t page = Mapping::PageBytes();
  const auto address = reinterpret_cast<uintptr_t>(memory.data());
  const uintptr_t first = (address + begin) & ~(page - 1);
  madvise(reinterpret_cast<void*>(first), address + end - first, MADV_POPULATE_WRITE);
#else
  static_cast<void>(begin);
  static_cast<void>(end);
#endif
}

void PreferHugePages(std::span<std::byte> memory) { AdviseHugePages(memory); }

bool IsReadable(uintptr_t page) {
  // The system is asked to copy from there what it then refuses: a call that every process may
  // make, where those that are made for reading another's memory are not allowed to all
  // (process_vm_readv in containers).
  constexpr int kNoSuchHow = -1;
#ifdef __linux__
  constexpr size_t kKernelSetBytes = 8;  // of the kernel, not of the C library
  const auto* const set = reinterpret_cast<const void*>(page);
  return syscall(SYS_rt_sigprocmask, kNoSuchHow, set, nullptr, kKernelSetBytes) == 0 ||
         errno != EFAULT;
#else
  return sigprocmask(kNoSuchHow, reinterpret_cast<const sigset_t*>(page), nullptr) == 0 ||
         errno != EFAULT;
#endif
}

Status CheckEndReadable(std::span<const std::byte> memory) {
  if (memory.empty()) return Status::Ok();
  const uint64_t page = Mapping::PageBytes();
  if (IsReadable(reinterpret_cast<uintptr_t>(&memory.back()) & ~(page - 1))) return Status::Ok();
  NoteLost(&memory.back());
  const std::optional<uint64_t> lost = LostFrom(memory);
  return lost ? Status::Lost(*lost) : Status::System(EFAULT, "madvise");
}

bool IsTouched(std::span<const std::byte> memory) {
  if (memory.empty()) return true;
  const uint64_t page = Mapping::PageBytes();
  const uintptr_t middle = reinterpret_cast<uintptr_t>(memory.data()) + memory.size() / 2;
#ifdef __linux__
  unsigned char in_core = 1;
#else
  char in_core = 1;
#endif
  // Only the address of the page is needed: nothing is written through it.
  if (mincore(reinterpret_cast<void*>(middle & ~(page - 1)), page, &in_core) != 0) return true;
  return (in_core & 1) != 0;
}

}  // namespace safetensors
