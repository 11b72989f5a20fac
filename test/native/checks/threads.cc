#include "threads.h"

#include <array>
#include <barrier>
#include <thread>
#include <utility>

#include "core/gather.h"
#include "core/memory.h"
#include "core/page_in_job.h"
#include "core/unmap.h"
#include "exact.h"
#include "expect.h"
#include "kernels/kernels.h"
#include "random.h"
#include "scratch_file.h"
#include "targets.h"

namespace safetensors::test {
namespace {

constexpr unsigned kThreads = 4;
constexpr uint64_t kFileBytes = 64 * 4096 + 123;
// So much that another thread may unmap it.
constexpr uint64_t kLargeBytes = uint64_t{96} << 20;

template <typename Work>
void OnThreads(Work work) {
  std::array<std::thread, kThreads> threads;
  for (unsigned i = 0; i < kThreads; i++) threads[i] = std::thread(work, i);
  for (std::thread& thread : threads) thread.join();
}

void GatherSome(const Mapping& mapping, Random& random) {
  const uint64_t run_bytes = 1 + random.Below(64);
  const uint64_t apart = run_bytes + random.Below(4000);
  const uint64_t count = 1 + random.Below((kFileBytes - run_bytes) / apart);
  const Runs runs{0, run_bytes, {{count, static_cast<int64_t>(apart)}}};
  const Exact<std::byte> target(count * run_bytes);
  EXPECT(AreWithin(runs, kFileBytes, target.size()));
  EXPECT(GatherMapped(runs, mapping, target.span(), 0, target.size()).ok());
  const uint64_t last = (count - 1) * apart;
  EXPECT(std::to_integer<uint8_t>(target.data()[(count - 1) * run_bytes]) == PatternAt(last));
}

void DecodeSome(const Mapping& mapping, Random& random) {
  const size_t format = static_cast<size_t>(Format::kE4M3);
  const size_t count = random.Below(kFileBytes);
  const std::span<const std::byte> source{mapping.At(0), count};
  const Exact<float> target(count);
  const Exact<float> expected(count);
  EXPECT(CheckEndReadable(source).ok());
  AvailableKernels().front()->decode[format](source.data(), target.data(), count,
                                             Stores::kStreaming);
  FinishStores(Stores::kStreaming);
  AvailableKernels().back()->decode[format](source.data(), expected.data(), count, Stores::kCached);
  EXPECT(std::memcmp(target.data(), expected.data(), target.bytes()) == 0);
}

void PageInSome(const std::shared_ptr<Mapping>& mapping, Random& random) {
  const uint64_t offset = random.Below(kFileBytes);
  const auto job = PageInJob::Start(mapping, {{0, offset}, {offset, kFileBytes - offset}},
                                    1 + static_cast<unsigned>(random.Below(3)));
  EXPECT(job.ok());
  if (random.Below(3) == 0) return;  // ends it
  if (random.Below(3) == 0) job.value->Cancel();
  while (!job.value->finished()) std::this_thread::yield();
  EXPECT(!job.value->failure() && job.value->bytes() <= kFileBytes);
}

void UsePages(const Mapping& mapping, Random& random) {
  const uint64_t offset = random.Below(kFileBytes);
  const ByteRange range{offset, random.Below(kFileBytes - offset + 1)};
  ReadAhead(mapping, range);
  const Result<uint64_t> resident = ResidentBytes(mapping, range);
  EXPECT(resident.ok() && resident.value <= range.length);
  EXPECT(DropPages(mapping, range).ok());
}

void Use(std::shared_ptr<Mapping> mapping, Random& random) {
  for (uint64_t left = 1 + random.Below(6); left > 0; left--) {
    switch (random.Below(4)) {
      case 0:
        GatherSome(*mapping, random);
        break;
      case 1:
        DecodeSome(*mapping, random);
        break;
      case 2:
        PageInSome(mapping, random);
        break;
      default:
        UsePages(*mapping, random);
    }
  }
}

}  // namespace

void TargetsOnThreads(uint64_t rounds, uint64_t seed) {
  OnThreads([=](unsigned thread) {
    Random random(seed * kThreads + thread);
    for (uint64_t round = 0; round < rounds; round++) {
      const Target& target = kTargets[random.Below(std::size(kTargets))];
      const std::vector<uint8_t> bytes = random.Bytes();
      target.run(Input(bytes));
    }
  });
}

void SharedMapping(uint64_t rounds, uint64_t seed) {
  const ScratchFile file(kFileBytes);
  for (uint64_t round = 0; round < rounds; round++) {
    auto mapping = Mapping::Reserve(kFileBytes);
    EXPECT(mapping.ok() && mapping.value->MapFile(file.file(), kFileBytes, 0).ok());
    std::array<std::shared_ptr<Mapping>, kThreads> shares;
    shares.fill(mapping.value);
    std::barrier closed(kThreads + 1);
    std::thread closing([&] {
      closed.arrive_and_wait();
      mapping.value.reset();
    });
    OnThreads([&](unsigned thread) {
      Random random((seed + round) * kThreads + thread);
      closed.arrive_and_wait();
      Use(std::move(shares[thread]), random);
    });
    closing.join();
  }
}

void SharedRange(uint64_t rounds, uint64_t seed) {
  const ScratchFile file(kFileBytes);
  const uint64_t page = Mapping::PageBytes();
  const uint64_t each = (kFileBytes + page - 1) / page * page;
  Random random(seed);
  for (uint64_t round = 0; round < rounds; round++) {
    const auto range = Mapping::Reserve(each * kThreads);
    EXPECT(range.ok());
    const uint64_t at = random.Below(kFileBytes);
    OnThreads([&](unsigned thread) {
      const uint64_t offset = each * thread;
      EXPECT(range.value->MapFile(file.file(), kFileBytes, offset).ok());
      EXPECT(std::to_integer<uint8_t>(*range.value->At(offset + at)) == PatternAt(at));
      EXPECT(PageIn(*range.value, {offset, kFileBytes}).ok());
    });
  }
}

void SharedUnmapping(uint64_t rounds, uint64_t seed) {
  const ScratchFile file(kFileBytes);
  file.Resize(kLargeBytes);
  for (uint64_t round = 0; round < rounds; round++) {
    OnThreads([&](unsigned thread) {
      Random random((seed + round) * kThreads + thread);
      auto whole = Mapping::OfFile(file.file());
      EXPECT(whole.ok() && whole.value->length() == kFileBytes);
      auto large = Mapping::Reserve(kLargeBytes);
      EXPECT(large.ok() && large.value->MapFile(file.file(), kLargeBytes, 0).ok());
      // What is in memory takes longer to be unmapped than who lets go has time for.
      EXPECT(PageIn(*large.value, {0, random.Below(kLargeBytes)}).ok());
      large.value.reset();
      const uint64_t at = random.Below(kFileBytes);
      EXPECT(std::to_integer<uint8_t>(*whole.value->At(at)) == PatternAt(at));
    });
    WaitForUnmapping();
    EXPECT(!WaitForUnmapping());
  }
}

}  // namespace safetensors::test
