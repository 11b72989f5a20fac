#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

#include "core/thread.h"
#include "core/unmap.h"

namespace safetensors {

#ifdef __linux__

namespace {

using Clock = std::chrono::steady_clock;

// Taking pages out of memory takes the system long (0.1 s for each GiB of 4 KiB pages, on Linux
// 6.18), and whoever lets go last of a mapping may have an event loop. Smaller ranges are quickly
// unmapped.
constexpr uint64_t kLargeBytes = uint64_t{64} << 20;

// What an event loop may wait, before another thread goes on: most of a file may never have been
// read, and a thread costs more than to unmap that.
constexpr auto kOwnTime = std::chrono::milliseconds{1};

// Ranges that other threads unmap at once: a loop that closes files faster than they are unmapped
// must not run out of addresses.
constexpr unsigned kMostAtOnce = 4;
std::atomic<unsigned> under_way = 0;

// While a piece is taken out of memory, nobody else in the process maps any. Pieces grow where they
// take no time, since little of them is there: a terabyte would be 65,536 of the smallest.
constexpr uint64_t kLeastPieceBytes = uint64_t{16} << 20;
constexpr uint64_t kMostPieceBytes = uint64_t{1} << 30;
constexpr auto kNoTime = std::chrono::microseconds{200};

struct Range {
  std::byte* begin;
  uint64_t length;
  // The pages before that are taken out.
  uint64_t done = 0;
};

// Until `end`; whether it came to the last of them.
bool TakePagesOut(Range& range, Clock::time_point end) {
  uint64_t piece = kLeastPieceBytes;
  for (auto now = Clock::now(); range.done < range.length;) {
    if (now >= end) return false;
    const uint64_t bytes = std::min(range.length - range.done, piece);
    madvise(range.begin + range.done, bytes, MADV_DONTNEED);
    range.done += bytes;
    const auto start = std::exchange(now, Clock::now());
    piece = now - start > kNoTime ? kLeastPieceBytes : std::min(2 * piece, kMostPieceBytes);
  }
  return true;
}

void* UnmapInPieces(void* argument) {
  const std::unique_ptr<Range> range{static_cast<Range*>(argument)};
  TakePagesOut(*range, Clock::time_point::max());
  munmap(range->begin, range->length);
  --under_way;
  return nullptr;
}

// Whether another thread does it. That thread uses nothing of anybody's: it may outlive the
// environment that closed the file, and the process does not wait for it when it ends. Its code is
// never unloaded (binding.gyp).
bool UnmapElsewhere(const Range& range) {
  if (++under_way <= kMostAtOnce) {
    auto own = std::make_unique<Range>(range);
    if (const auto thread = StartThread(UnmapInPieces, own.get())) {
      own.release();
      pthread_detach(*thread);
      return true;
    }
  }
  --under_way;
  return false;
}

}  // namespace

void Unmap(std::byte* begin, uint64_t length) {
  Range range{begin, length};
  const bool is_quick = length < kLargeBytes || TakePagesOut(range, Clock::now() + kOwnTime);
  if (is_quick || !UnmapElsewhere(range)) munmap(begin, length);
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
