#include <array>
#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "core/fault_guard.h"
#include "core/guarded_ranges.h"
#include "core/mapping.h"
#include "expect.h"
#include "random.h"
#include "scratch_file.h"
#include "threads.h"

namespace safetensors::test {
namespace {

constexpr unsigned kReaders = 3;
constexpr uint64_t kFileBytes = 48 * 4096;

std::shared_ptr<Mapping> Guarded(const ScratchFile& file) {
  auto mapping = Mapping::Reserve(kFileBytes);
  EXPECT(mapping.ok() && mapping.value->MapFile(file.file(), kFileBytes, 0).ok());
  EXPECT(mapping.value->Guard().ok());
  return mapping.value;
}

// That a page changes under a reader is what the guard is for: no race to be reported.
__attribute__((no_sanitize("thread"), noinline)) uint8_t ByteAt(const std::byte* address) {
  return std::to_integer<uint8_t>(*const_cast<const volatile std::byte*>(address));
}

// Whatever is read is what the file had, or is known to be lost.
void ReadAll(const Mapping& mapping, Random& random) {
  const bool backwards = random.Below(2) == 0;
  for (uint64_t i = 0; i < kFileBytes; i += 1 + random.Below(2000)) {
    const uint64_t at = backwards ? kFileBytes - 1 - i : i;
    const uint8_t byte = ByteAt(mapping.At(at));
    if (byte == PatternAt(at)) continue;
    EXPECT(byte == 0);
    EXPECT(mapping.LostFrom(at, 1));
    EXPECT(LostFrom({mapping.At(at), 1}));
  }
}

}  // namespace

void LostPages(uint64_t rounds, uint64_t seed) {
  for (uint64_t round = 0; round < rounds; round++) {
    const ScratchFile file(kFileBytes);
    std::shared_ptr<Mapping> mapping = Guarded(file);
    std::vector<std::thread> threads;
    for (unsigned reader = 0; reader < kReaders; reader++) {
      threads.emplace_back([share = mapping, &file, seed = (seed + round) * kReaders + reader] {
        Random random(seed);
        ReadAll(*share, random);
        // Others come and go meanwhile.
        for (uint64_t left = random.Below(4); left > 0; left--) ReadAll(*Guarded(file), random);
      });
    }
    Random random(seed + round);
    mapping.reset();
    uint64_t pages = kFileBytes / 4096;
    for (uint64_t left = random.Below(4); left > 0; left--) {
      // Whole pages: of one that is cut, the system makes the rest zeros, and nothing is lost.
      pages = random.Below(pages + 1);
      file.Resize(pages * 4096);
    }
    for (std::thread& thread : threads) thread.join();
  }
}

void GuardedPlaces(uint64_t rounds, uint64_t seed) {
  constexpr uintptr_t kPage = 4096;
  constexpr uint64_t kPlaces = 64;
  std::atomic<unsigned> adding{2};
  std::vector<std::thread> threads;
  for (unsigned adder = 0; adder < 2; adder++) {
    threads.emplace_back([=, &adding] {
      Random random(seed * 2 + adder);
      // More than one block has, at times. Each has addresses of its own, that never were mapped.
      std::vector<GuardedRange*> own;
      for (uint64_t round = 0; round < rounds * 100; round++) {
        if (own.size() < 300 && random.Below(5) < 3) {
          const uintptr_t begin = (1 + adder * kPlaces + random.Below(kPlaces)) * 16 * kPage;
          own.push_back(GuardedRanges::Add(begin, begin + (1 + random.Below(16)) * kPage));
          EXPECT(own.back() != nullptr);
        } else if (!own.empty()) {
          std::swap(own[random.Below(own.size())], own.back());
          GuardedRanges::Remove(*own.back());
          own.pop_back();
        }
      }
      for (GuardedRange* range : own) GuardedRanges::Remove(*range);
      adding.fetch_sub(1);
    });
  }
  for (unsigned looker = 0; looker < 2; looker++) {
    threads.emplace_back([=, &adding] {
      Random random(seed * 3 + looker);
      while (adding.load() > 0) {
        const uintptr_t address =
            (1 + random.Below(2 * kPlaces)) * 16 * kPage + random.Below(kPage);
        const PinnedRange range = GuardedRanges::At(address);
        if (!range) continue;
        // It stays what it is as long as it is pinned.
        const uintptr_t begin = range->begin();
        for (int look = 0; look < 20; look++) {
          EXPECT(range->begin() == begin && range->begin() <= address && address < range->end());
        }
        range->NoteLost(begin);
        EXPECT(range->lost_from() == 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint64_t place = 1; place <= 2 * kPlaces; place++) {
    EXPECT(!GuardedRanges::At(place * 16 * kPage));
  }
}

}  // namespace safetensors::test
