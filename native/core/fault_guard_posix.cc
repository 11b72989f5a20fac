#include <signal.h>
#include <sys/mman.h>
#ifdef __APPLE__
#include <dlfcn.h>
#endif

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <type_traits>

#include "core/fault_guard.h"
#include "core/mapping.h"
#include "core/memory.h"
#include "core/previous_handler.h"

namespace safetensors {
namespace {

// Everything from here to OnBusError runs in the handler: system calls and atomics, nothing else.

#ifdef __linux__
constexpr bool kIsLinux = true;
#else
constexpr bool kIsLinux = false;
#endif

// Set before the handler is.
std::atomic<uintptr_t> page_bytes{0};

// Losses that were met, in all: as long as there are none, nobody need look for what was lost.
std::atomic<uint64_t> faults{0};

// The first page that a file which was cut short has lost; `lost` is one of them. First in steps
// that double, because whoever reads forwards meets the first of them.
uintptr_t FirstLostPage(uintptr_t begin, uintptr_t lost, uintptr_t page) {
  uintptr_t there = begin;
  for (uintptr_t step = page;; step *= 2) {
    if (lost == begin) return begin;
    there = lost - begin > step ? lost - step : begin;
    if (IsReadable(there)) break;
    lost = there;
  }
  while (lost - there > page) {
    const uintptr_t middle = there + (lost - there) / page / 2 * page;
    (IsReadable(middle) ? there : lost) = middle;
  }
  return lost;
}

bool MapZeros(uintptr_t begin, uintptr_t end) {
  void* const mapped = mmap(reinterpret_cast<void*>(begin), end - begin, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_FIXED | MAP_ANON | MAP_NORESERVE, -1, 0);
  return mapped != MAP_FAILED;
}

// Pages that are looked at, of those that may tell a disk that fails from a file that was cut: more
// would keep the thread waiting, should the disk take seconds to say of each that it fails.
constexpr unsigned kMostLooks = 16;

// Whether some of the pages that the system has in memory in [lost, end) can be read. It may have
// some for a moment longer than the file, of which none can; and of files that are another's and
// that this process may not write, Linux says that it has all of them, and so do sandboxes. Of more
// than 1 GiB, parts that are the same way apart: asking of 40 GiB takes seconds.
bool AnyReadableInMemory(uintptr_t lost, uintptr_t end, uintptr_t page) {
  constexpr size_t kMostParts = 256;
  // The handler may have a small stack.
  std::array<std::conditional_t<kIsLinux, unsigned char, char>, 1024> in_memory;
  const uintptr_t apart = std::max(in_memory.size(), (end - lost) / page / kMostParts) * page;
  unsigned looks = 0;
  for (uintptr_t from = lost; from < end; from += apart) {
    const size_t pages = std::min<size_t>((end - from) / page, in_memory.size());
    if (mincore(reinterpret_cast<void*>(from), pages * page, in_memory.data()) != 0) return false;
    for (size_t i = 0; i < pages; ++i) {
      if ((in_memory[i] & 1) == 0) continue;
      if (IsReadable(from + i * page)) return true;
      if (++looks == kMostLooks) return false;
    }
  }
  return false;
}

// Whether some of the pages of [lost, end) can be read that are the same way apart, from the disk.
bool AnyReadable(uintptr_t lost, uintptr_t end, uintptr_t page) {
  const uintptr_t apart = ((end - lost) / page + kMostLooks - 1) / kMostLooks * page;
  for (uintptr_t at = lost + apart; at < end; at += apart) {
    if (IsReadable(at)) return true;
  }
  return false;
}

// The first of the pages that were cut off, when `page` is one of them: the last page of the file
// is not there either, nor any other behind it that was looked at. Otherwise only this one is lost:
// the disk cannot read it, or has no room for a hole.
std::optional<uintptr_t> FirstCutOff(uintptr_t begin, uintptr_t page, uintptr_t file_end) {
  const uintptr_t page_size = page_bytes.load(std::memory_order_relaxed);
  if (page >= file_end || IsReadable(file_end - page_size)) return std::nullopt;
  if (AnyReadableInMemory(page, file_end, page_size)) return std::nullopt;
  if (AnyReadable(page, file_end, page_size)) return std::nullopt;
  return FirstLostPage(begin, page, page_size);
}

// The page counts as lost, for everybody who asks from now on.
void Note(GuardedRange& range, uintptr_t page) {
  range.NoteLost(page);
  faults.fetch_add(1, std::memory_order_acq_rel);
}

// Noted and counted before there are zeros: see AnyFaults.
bool Replace(GuardedRange& range, uintptr_t begin, uintptr_t end) {
  Note(range, begin);
  if (!MapZeros(begin, end)) return false;
  if (end >= range.file_end()) range.EndFileAt(begin);
  return true;
}

// Gives the thread something to read where a page of ours is lost. The range stays mapped
// meanwhile: it is pinned.
//
// The file's descriptor is closed, and its name may be another's by now; but what was cut off was
// cut off at the end: all from where the file ends now, which is where readable pages end.
bool Rescue(const siginfo_t& info) {
  const uintptr_t page_size = page_bytes.load(std::memory_order_relaxed);
  const auto address = reinterpret_cast<uintptr_t>(info.si_addr);
  const uintptr_t page = address & ~(page_size - 1);
  const PinnedRange range = GuardedRanges::At(address);
  if (!range) return false;
#ifdef __linux__
  if (info.si_code != BUS_ADRERR && info.si_code != BUS_MCEERR_AR) return false;
  const bool may_be_cut = info.si_code == BUS_ADRERR;
#else
  // One code for everything, misaligned access included, which no other page would help.
  if (IsReadable(page)) return false;
  const bool may_be_cut = true;
#endif
  const uintptr_t file_end = range->file_end();
  const auto cut = may_be_cut ? FirstCutOff(range->begin(), page, file_end) : std::nullopt;
  if (Replace(*range, cut.value_or(page), cut ? file_end : page + page_size)) return true;
  // No more mappings may be made, into which lost pages cut the file: the rest of it takes one
  // more, if that, and all of it none.
  return Replace(*range, cut.value_or(page), range->end()) ||
         Replace(*range, range->begin(), range->end());
}

void OnBusError(int signal, siginfo_t* info, void* context) {
  const int error = errno;
  if (!IsFault(*info) || !Rescue(*info)) CallPreviousHandler(signal, info, context);
  errno = error;
}

struct sigaction OurAction() {
  struct sigaction action{};
  action.sa_sigaction = OnBusError;
  // A thread may have a stack for signals; calls that a sent signal interrupts go on.
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  // Others wait until the handler is done with its range, but for faults of its own.
  sigfillset(&action.sa_mask);
  for (const int fault : {SIGSEGV, SIGILL, SIGFPE, SIGTRAP}) sigdelset(&action.sa_mask, fault);
  return action;
}

bool IsOurs(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == OnBusError;
}

// Nobody unloads this code as long as its handler may be called: the system does with the last
// thread that has loaded it. (On Linux the linker has said so: binding.gyp.)
void StayLoaded() {
#ifdef __APPLE__
  Dl_info ours{};
  if (dladdr(reinterpret_cast<const void*>(&OnBusError), &ours) == 0) return;
  dlopen(ours.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
#endif
}

}  // namespace

Status KeepFaultHandler() {
  struct sigaction now{};
  if (sigaction(SIGBUS, nullptr, &now) != 0) return Status::System(errno, "sigaction");
  if (IsOurs(now)) return Status::Ok();
  StayLoaded();
  page_bytes.store(Mapping::PageBytes(), std::memory_order_relaxed);
  // Two threads may come here at once: then the second finds ours when it replaces it.
  if (!SetPreviousHandler(now)) return Status::System(ENOMEM, "sigaction");
  const struct sigaction ours = OurAction();
  struct sigaction replaced{};
  if (sigaction(SIGBUS, &ours, &replaced) != 0) return Status::System(errno, "sigaction");
  if (!IsOurs(replaced)) SetPreviousHandler(replaced);
  return Status::Ok();
}

Status KeepFaultHandlerOf(std::span<const std::byte> memory) {
  if (!GuardedRanges::At(reinterpret_cast<uintptr_t>(memory.data()))) return Status::Ok();
  return KeepFaultHandler();
}

Result<FaultGuard> FaultGuard::Watch(std::span<std::byte> memory) {
  const uintptr_t page = Mapping::PageBytes();
  const auto begin = reinterpret_cast<uintptr_t>(memory.data());
  const uintptr_t end = (begin + memory.size() + page - 1) / page * page;
  GuardedRange* const range = GuardedRanges::Add(begin, end);
  if (range == nullptr) return Status::System(ENOMEM, "malloc");
  return FaultGuard(range);
}

FaultGuard::~FaultGuard() {
  if (range_ != nullptr) GuardedRanges::Remove(*range_);
}

std::optional<uint64_t> FaultGuard::lost_from() const {
  if (range_ == nullptr || !AnyFaults() || range_->lost_from() == GuardedRange::kNothing)
    return std::nullopt;
  return range_->lost_from();
}

std::optional<uint64_t> LostFrom(std::span<const std::byte> memory) {
  if (memory.empty() || !AnyFaults()) return std::nullopt;
  const auto begin = reinterpret_cast<uintptr_t>(memory.data());
  const uint64_t lost = GuardedRanges::LostFrom(begin, begin + memory.size());
  if (lost == GuardedRange::kNothing) return std::nullopt;
  return lost;
}

// Not a mere load: what has been read before must not move behind it. Either this comes before a
// handler counts, and so does what was read before it maps zeros; or it comes after, and what the
// handler has noted is seen.
bool AnyFaults() { return faults.fetch_add(0, std::memory_order_acq_rel) != 0; }

void NoteLost(const std::byte* place) {
  const auto address = reinterpret_cast<uintptr_t>(place);
  // Pinned, it stays this file's.
  const PinnedRange range = GuardedRanges::At(address);
  if (!range) return;
  const uintptr_t page = address & ~(uintptr_t{Mapping::PageBytes()} - 1);
  Note(*range, FirstCutOff(range->begin(), page, range->file_end()).value_or(page));
}

}  // namespace safetensors
