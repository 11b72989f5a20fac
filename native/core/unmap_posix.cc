#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <memory>

#include "core/thread.h"
#include "core/unmap.h"

namespace safetensors {

#ifdef __linux__

namespace {

// Taking pages out of memory takes the system long (0.1 s for each GiB of 4 KiB pages, on Linux
// 6.18), and whoever lets go last of a mapping may have an event loop. Smaller ranges are quickly
// unmapped.
constexpr uint64_t kLargeBytes = uint64_t{64} << 20;

// Ranges that other threads unmap at once: a loop that closes files faster than they are unmapped
// must not run out of addresses.
constexpr unsigned kMostAtOnce = 4;
std::atomic<unsigned> under_way = 0;

// While a piece is taken out of memory, nobody else in the process maps any.
constexpr uint64_t kPieceBytes = uint64_t{16} << 20;

struct Range {
  std::byte* begin;
  uint64_t length;
};

void* UnmapInPieces(void* argument) {
  const std::unique_ptr<Range> range{static_cast<Range*>(argument)};
  const auto [begin, length] = *range;
  for (uint64_t done = 0; done < length; done += kPieceBytes) {
    madvise(begin + done, std::min(length - done, kPieceBytes), MADV_DONTNEED);
  }
  munmap(begin, length);
  --under_way;
  return nullptr;
}

// Whether another thread does it. That thread uses nothing of anybody's: it may outlive the
// environment that closed the file, and the process does not wait for it when it ends. Its code is
// never unloaded (binding.gyp).
bool UnmapElsewhere(std::byte* begin, uint64_t length) {
  if (++under_way <= kMostAtOnce) {
    auto range = std::make_unique<Range>(Range{begin, length});
    if (const auto thread = StartThread(UnmapInPieces, range.get())) {
      range.release();
      pthread_detach(*thread);
      return true;
    }
  }
  --under_way;
  return false;
}

}  // namespace

void Unmap(std::byte* begin, uint64_t length) {
  if (length < kLargeBytes || !UnmapElsewhere(begin, length)) munmap(begin, length);
}

bool WaitForUnmapping() {
  if (under_way == 0) return false;
  constexpr timespec kMillisecond{0, 1'000'000};
  while (under_way > 0) nanosleep(&kMillisecond, nullptr);
  return true;
}

#else

// Elsewhere the addon may be unloaded before a thread of its own has ended.
void Unmap(std::byte* begin, uint64_t length) { munmap(begin, length); }

bool WaitForUnmapping() { return false; }

#endif

}  // namespace safetensors
